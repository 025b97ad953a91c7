"""PURE: the values of the tags that every template of a run may use, and of those that a pod has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression_functions import to_json
from retrainer.workflows.local.scope import timestamp
from retrainer.workflows.local.sections import artifacts, parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKFLOW_TAGS = frozenset(
    f"workflow.{name}"
    for name in (
        *("name", "namespace", "uid", "parameters", "parameters.json", "labels.json", "annotations.json", "status"),
        *("mainEntrypoint", "serviceAccountName", "creationTimestamp", "failures", "duration"),
    )
)
"""The tags of the workflow, beside its parameters, labels and annotations."""


def workflow_values(workflow: Mapping[str, Any], now: float) -> dict[str, str]:
    """Return the values of `workflow.…` when the run starts. ``now``: seconds since the epoch."""
    spec = workflow["spec"]
    known = {f"workflow.{name}": str(workflow[name]) for name in ("name", "namespace", "uid")}
    known |= {"workflow.parameters": to_json(_listed(workflow["parameters"])), "workflow.status": "Running"}
    known |= {"workflow.parameters.json": known["workflow.parameters"]}
    for section in ("labels", "annotations"):
        words = workflow.get(section) or {}
        known[f"workflow.{section}.json"] = to_json(words)
        known |= {f"workflow.{section}.{name}": str(word) for name, word in words.items()}
    known["workflow.mainEntrypoint"] = spec["entrypoint"]
    known["workflow.serviceAccountName"] = str(spec.get("serviceAccountName") or "default")
    known["workflow.creationTimestamp"] = timestamp(now)
    known |= {"workflow.duration": "0", "workflow.failures": '"[]"'}
    return known | {f"workflow.parameters.{name}": value for name, value in workflow["parameters"].items()}


def _listed(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in parameters.items()]


def pod_values(workflow: str, node: str) -> dict[str, str]:
    """Return the values that one pod has beside its inputs, and those that name its paths."""
    word = "".join(char if char.isalnum() else "-" for char in node.lower()).strip("-")
    return {"pod.name": f"{workflow}-{word}"[:253], "node.name": node}


def pod_tags(template: Mapping[str, Any]) -> set[str]:
    """Return the tags of `pod_values`, and of the paths that a template declares."""
    paths = {f"inputs.artifacts.{item['name']}.path" for item in artifacts(template, "inputs")}
    paths |= {f"outputs.artifacts.{item['name']}.path" for item in artifacts(template, "outputs")}
    paths |= {f"outputs.parameters.{item['name']}.path" for item in parameters(template, "outputs")}
    return {"pod.name", "node.name", *paths}
