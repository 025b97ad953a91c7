"""The whole spec of a run: that of the WorkflowTemplate that it names, and the templates that those refer to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.workflows.base import Refused
from retrainer.workflows.local.library import reference_key, references
from retrainer.workflows.local.template import NO_ENTRYPOINT, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Spec = Mapping[str, Any]
    Find = Callable[[Spec], Spec | None]


def resolved(spec: Spec, find: Find) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return the spec of a Workflow, and by `reference_key` the templates of others that it uses.

    ``find`` returns the spec of a WorkflowTemplate that a reference means. Raise Refused, with the path of each field
    that cannot be run.
    """
    whole = {key: value for key, value in spec.items() if key not in ("workflowTemplateRef", "arguments")}
    if (reference := spec.get("workflowTemplateRef")) is not None:
        whole = {**_found(reference, find), **whole}
    elif "arguments" in spec:
        whole["arguments"] = spec["arguments"]
    _check(whole, "", find)
    if "entrypoint" not in whole:
        raise Refused(f"spec.entrypoint: {NO_ENTRYPOINT}", code="invalid")
    others: dict[str, list[Any]] = {}
    ahead = [*references(whole["templates"])]
    while ahead:
        reference = ahead.pop()
        if (key := reference_key(reference)) not in others:
            other = _found(reference, find)
            _check(other, f"{key}: ", find)
            others[key] = other["templates"]
            ahead += references(other["templates"])
    return whole, others


def _found(reference: Spec, find: Find) -> Spec:
    found = find(reference)
    if found is None:
        what, _, name = reference_key(reference).partition("/")
        raise Refused(f"there is no {what} {name!r} in the folder of templates", code="not_found")
    return found


def _check(spec: Spec, where: str, find: Find) -> None:
    if problems := unsupported({"spec": spec}, find):
        raise Refused("; ".join(f"{where}{path}: {why}" for path, why in problems), code="unsupported")
