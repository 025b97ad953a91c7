"""PURE: Argo's objects, as JSON from the API server, read as what retrainer wants to know of them."""

from __future__ import annotations

import base64
import binascii
import gzip
import io
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
"""Bytes of unpacked node statuses that are read for outputs; beyond, only global outputs are."""


def from_metadata(item: Mapping[str, Any]) -> Observed:
    """Read a PartialObjectMetadata: the phase is a label that the controller writes together with the status."""
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
    """Tell whether our finalizer is on it."""
    return FINALIZER in (item["metadata"].get("finalizers") or ())


def from_workflow(item: Mapping[str, Any]) -> Observed:
    """Read a whole Workflow."""
    meta = item["metadata"]
    status = item.get("status") or {}
    phase, message = status.get("phase", ""), status.get("message", "")
    return Observed(
        namespace=meta.get("namespace", ""),
        name=meta["name"],
        uid=meta["uid"],
        run=(meta.get("annotations") or {}).get(RUN_ANNOTATION, ""),
        phase=phase,
        message=message,
        started_at=_seconds(status.get("startedAt")),
        finished_at=_seconds(status.get("finishedAt")),
        progress=status.get("progress", ""),
        outputs=_outputs(meta["name"], status),
        resources=_resources(status.get("resourcesDuration")),
        deleting="deletionTimestamp" in meta,
        # `spec.shutdown` alone does not tell: it may have been set after a failure of its own.
        stopped=phase in ("Failed", "Error") and message.startswith("Stopped with strategy"),
    )


def from_template(item: Mapping[str, Any]) -> Template:
    """Read a WorkflowTemplate: its arguments, and the inputs of its entry point, which Argo fills from them by name."""
    spec = item.get("spec") or {}
    entry: Mapping[str, Any] = next(
        (each for each in spec.get("templates") or [] if each.get("name") == spec.get("entrypoint")), {}
    )
    parameters = {each["name"]: each for each in (entry.get("inputs") or {}).get("parameters") or []}
    parameters |= {each["name"]: each for each in (spec.get("arguments") or {}).get("parameters") or []}
    return Template(
        name=item["metadata"]["name"],
        parameters={name: _default(each) for name, each in parameters.items()},
        options={name: tuple(map(str, each["enum"])) for name, each in parameters.items() if each.get("enum")},
    )


def _default(parameter: Mapping[str, Any]) -> str | None:
    for field in ("value", "default"):
        if field in parameter:
            return str(parameter[field])
    return "" if "valueFrom" in parameter else None


def _outputs(name: str, status: Mapping[str, Any]) -> dict[str, str]:
    """Read the global outputs, and over them those of the entry node, whose id is the Workflow's name."""
    entry = _nodes(status).get(name) or {}
    found = [*_parameters(status), *_parameters(entry)]
    return {each["name"]: str(each["value"]) for each in found if "value" in each}


def _parameters(holder: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (holder.get("outputs") or {}).get("parameters") or []


def _nodes(status: Mapping[str, Any]) -> dict[str, Any]:
    """Read the node statuses, which the controller packs when they are many. Offloaded ones are out of our reach."""
    if status.get("nodes"):
        return dict(status["nodes"])
    packed = status.get("compressedNodes")
    if not packed:
        return {}
    try:
        with gzip.open(io.BytesIO(base64.b64decode(packed))) as file:
            return dict(orjson.loads(file.read(MAX_NODES)))
    except (binascii.Error, OSError, EOFError, ValueError):
        return {}


def _resources(told: Any) -> dict[str, float]:
    """Read what it used; what is no number is left out, as one odd Workflow must not end the watch of all."""
    used = told if isinstance(told, dict) else {}
    return {name: float(seconds) for name, seconds in used.items() if isinstance(seconds, int | float)}


def _seconds(moment: Any) -> float | None:
    """Read a moment as epoch seconds; None if there is none, or it cannot be read."""
    try:
        return datetime.fromisoformat(moment).timestamp() if moment else None
    except (TypeError, ValueError, OverflowError):
        return None
