"""PURE: the templates of a run: its own, and those of other WorkflowTemplates that `templateRef` names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.sections import KINDS, POD_KINDS, kind, uses_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Template = Mapping[str, Any]
OWN = ""
"""The key of the templates of the run's own spec."""
_POD_ONLY = ("timeout", "activeDeadlineSeconds")


def reference_key(reference: Mapping[str, Any]) -> str:
    """Return the key of the WorkflowTemplate that a `templateRef` names."""
    what = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
    return f"{what}/{reference['name']}"


def references(templates: list[Template]) -> Iterator[Mapping[str, Any]]:
    """Yield each `templateRef` of templates."""
    for template in templates:
        yield from (use["templateRef"] for use in uses_of(template) if "templateRef" in use)


class Library:
    """``others``: by `reference_key`, the templates of other WorkflowTemplates."""

    def __init__(self, spec: Mapping[str, Any], others: Mapping[str, list[Template]]) -> None:
        self._defaults = spec.get("templateDefaults") or {}
        everything = {OWN: spec["templates"], **others}
        self._named = {key: {one["name"]: one for one in found} for key, found in everything.items()}

    def named(self, name: str) -> Template:
        """Return a template of the run's own."""
        return self._with_defaults(self._named[OWN][name])

    def find(self, use: Mapping[str, Any], key: str) -> tuple[Template, str]:
        """Return the template that a step, task or hook uses, and the key of the templates beside it."""
        if "inline" in use:
            return self._with_defaults({"name": use["name"], **use["inline"]}), key
        if (reference := use.get("templateRef")) is not None:
            key = reference_key(reference)
            return self._with_defaults(self._named[key][reference["template"]]), key
        return self._with_defaults(self._named[key][use["template"]]), key

    def _with_defaults(self, template: Template) -> Template:
        return with_defaults(template, self._defaults)


def with_defaults(template: Template, defaults: Mapping[str, Any]) -> Template:
    """Return a template with the fields of `templateDefaults` that it does not have itself."""
    what = kind(template)
    left_out = {*KINDS, *(() if what in POD_KINDS else _POD_ONLY)} - {what}
    kept = {key: value for key, value in defaults.items() if key not in left_out}
    return _merged(kept, template) if kept else template


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **own}
    for key in defaults.keys() & own.keys():
        if isinstance(defaults[key], dict) and isinstance(own[key], dict):
            merged[key] = _merged(defaults[key], own[key])
    return merged
