"""PURE: parses Argo's objects, as JSON from the API server."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import zlib
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.workflows.base import Observed, Template
from retrainer.workflows.manifest import FINALIZER, RUN_ANNOTATION

if TYPE_CHECKING:
    from collections.abc import Mapping

PHASE_LABEL = "workflows.argoproj.io/phase"
ENDED = frozenset({"Succeeded", "Failed", "Error"})
MAX_NODES = 64 * 1024 * 1024
"""Bytes of unpacked node statuses that are read for outputs; beyond that only global outputs are read."""


def from_metadata(item: Mapping[str, Any]) -> Observed:
    """Parse a PartialObjectMetadata: the phase is a label that the controller writes together with the status."""
    meta = item["metadata"]
    return Observed(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta["uid"],
        run=(meta.get("annotations") or {}).get(RUN_ANNOTATION, ""),
        phase=(meta.get("labels") or {}).get(PHASE_LABEL, ""),
        deleting="deletionTimestamp" in meta,
    )


def held(item: Mapping[str, Any]) -> bool:
    """Return whether it has our finalizer."""
    return FINALIZER in (item["metadata"].get("finalizers") or ())


def from_workflow(item: Mapping[str, Any]) -> Observed:
    """Parse a whole Workflow. Its status may have been edited: values of unexpected types are ignored."""
    status = as_map(item.get("status"))
    phase, message = as_text(status.get("phase")), as_text(status.get("message"))
    return replace(
        from_metadata(item),
        phase=phase,
        message=message,
        started_at=seconds(status.get("startedAt")),
        finished_at=seconds(status.get("finishedAt")),
        progress=as_text(status.get("progress")),
        outputs=_outputs(item["metadata"]["name"], status),
        resources=_resources(status.get("resourcesDuration")),
        # `spec.shutdown` is not enough: it may have been set after the Workflow failed by itself.
        stopped=phase in ("Failed", "Error") and message.startswith("Stopped with strategy"),
    )


def from_template(item: Mapping[str, Any]) -> Template:
    """Parse a WorkflowTemplate: its arguments, and the inputs of its entry point, which Argo fills by name.

    Values of unexpected types are ignored: the API server accepts them, and Argo reports them.
    """
    spec = as_map(item.get("spec"))
    entry = next((each for each in _maps(spec.get("templates")) if each.get("name") == spec.get("entrypoint")), {})
    given = [*_parameters(entry.get("inputs")), *_parameters(spec.get("arguments"))]
    parameters = {each["name"]: each for each in given}
    return Template(
        name=item["metadata"]["name"],
        parameters={name: _default(each) for name, each in parameters.items()},
        options={name: tuple(map(str, enum)) for name, each in parameters.items() if (enum := _list(each.get("enum")))},
    )


def _default(parameter: Mapping[str, Any]) -> str | None:
    for field in ("value", "default"):
        if field in parameter:
            return str(parameter[field])
    return "" if "valueFrom" in parameter else None


def _outputs(name: str, status: Mapping[str, Any]) -> dict[str, str]:
    """Return the global outputs, overridden by those of the entry node, whose id is the Workflow's name."""
    entry = as_map(node_statuses(status).get(name))
    found = [*_parameters(status.get("outputs")), *_parameters(entry.get("outputs"))]
    return {each["name"]: str(each["value"]) for each in found if each.get("value") is not None}


def _parameters(holder: Any) -> list[dict[str, Any]]:
    return [each for each in _maps(as_map(holder).get("parameters")) if isinstance(each.get("name"), str)]


def as_map(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _maps(value: Any) -> list[dict[str, Any]]:
    return [each for each in _list(value) if isinstance(each, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def node_statuses(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node statuses, which the controller compresses if there are many. Offloaded ones cannot be read."""
    if status.get("nodes"):
        return as_map(status["nodes"])
    packed = status.get("compressedNodes")
    if not packed:
        return {}
    try:
        with gzip.open(io.BytesIO(base64.b64decode(packed))) as file:
            return as_map(orjson.loads(file.read(MAX_NODES)))
    except (binascii.Error, OSError, EOFError, TypeError, ValueError, zlib.error):
        return {}


def _resources(value: Any) -> dict[str, float]:
    """Return the resource usage. Non-numbers are ignored: one odd Workflow must not end the watch for all."""
    return {name: float(used) for name, used in as_map(value).items() if isinstance(used, int | float)}


def seconds(moment: Any) -> float | None:
    """Return a time as epoch seconds; None if there is none, or it is invalid."""
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else None
    except (TypeError, ValueError, OverflowError):
        return None
