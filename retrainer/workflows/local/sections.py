"""PURE: the parts of a template in Argo's form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.tags import scalar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

POD_KINDS = ("container", "script")
KINDS = (*POD_KINDS, "dag", "steps", "suspend")


def kind(template: Mapping[str, Any]) -> str:
    """Return which of `KINDS` a template is; empty if none."""
    return next((name for name in KINDS if name in template), "")


def inputs(section: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the parameters of `arguments` or `inputs` with their values; None for required ones."""
    return {
        item["name"]: next((scalar(item[key]) for key in ("value", "default") if item.get(key) is not None), None)
        for item in section.get("parameters") or ()
    }


def parameters(holder: Mapping[str, Any], section: str) -> Sequence[Mapping[str, Any]]:
    """Return the parameters of a section (arguments, inputs or outputs) of a spec, a template or a task."""
    return (holder.get(section) or {}).get("parameters") or ()


def artifacts(holder: Mapping[str, Any], section: str) -> Sequence[Mapping[str, Any]]:
    """Return the artifacts of a section (arguments, inputs or outputs) of a spec, a template or a task."""
    return (holder.get(section) or {}).get("artifacts") or ()


def steps_of(template: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the steps or tasks of a template, each with its path within the template."""
    for row, group in enumerate(template.get("steps") or ()):
        for index, step in enumerate(group):
            yield f"steps[{row}][{index}]", step
    for index, task in enumerate((template.get("dag") or {}).get("tasks") or ()):
        yield f"dag.tasks[{index}]", task


def uses_of(template: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the steps or tasks of a template, and their hooks."""
    for _, step in steps_of(template):
        yield step
        yield from (step.get("hooks") or {}).values()
