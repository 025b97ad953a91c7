"""Reads the output of a Workflow's steps: the logs of its pods."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from retrainer.workflows.argo.api_server import ApiRequest
from retrainer.workflows.argo.errors import FORBIDDEN, MISSING
from retrainer.workflows.argo.nodes import step_name
from retrainer.workflows.argo.watch import PAGE, PARTIAL_LIST
from retrainer.workflows.base import (
    OUTPUT_LIMIT,
    Later,
    NoOutput,
    Refused,
    StepOutput,
    WorkflowError,
    no_step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.workflows.argo.api_server import ApiServer
    from retrainer.workflows.base import OutputQuery

WORKFLOW_LABEL = "workflows.argoproj.io/workflow"
NODE_ANNOTATION = "workflows.argoproj.io/node-name"
SPARE = 33
"""Lines that are read beyond the requested ones: one to know that there are more, and those of Argo's executor."""
_GONE = (
    "Workflow {}/{} has no pods any more, or none yet; `podGC` and `ttlStrategy` remove pods and their logs. If the "
    "template has `archiveLogs`, `argo logs` and Argo's UI still have them, otherwise the log storage of the cluster"
)
_GRANT = "grant list on `pods` and get on `pods/log` in namespace {} to the service account, as the chart does"


def read(api: ApiServer, namespace: str, workflow: str, query: OutputQuery) -> Iterator[StepOutput]:
    """See `base.WorkflowEngine.outputs`."""
    pods = _pods(api, namespace, workflow)
    if not pods:
        raise NoOutput(_GONE.format(namespace, workflow), code=MISSING)
    chosen = {pod: step for pod, step in pods.items() if query.selects(step)}
    if not chosen:
        raise NoOutput(no_step(workflow, query, pods.values()), code="no-step")
    found = (_output(api, namespace, pod, step, query.tail) for pod, step in chosen.items())
    return chain([next(found)], found)


def _pods(api: ApiServer, namespace: str, workflow: str) -> dict[str, str]:
    """Return the pods with the names of their steps, the oldest first."""
    fields = {"labelSelector": quote(f"{WORKFLOW_LABEL}={workflow}"), "limit": str(PAGE)}
    request = ApiRequest("GET", f"/api/v1/namespaces/{quote(namespace)}/pods", fields=fields, accept=PARTIAL_LIST)
    try:
        found = [item["metadata"] for page in api.pages(request) for item in page["items"] or ()]
    except (Later, Refused) as error:
        raise _explained(error, namespace) from error
    found.sort(key=lambda meta: (meta.get("creationTimestamp") or "", meta["name"]))
    return {meta["name"]: _step_of(workflow, meta) for meta in found}


def _step_of(workflow: str, meta: dict[str, Any]) -> str:
    return step_name(workflow, str((meta.get("annotations") or {}).get(NODE_ANNOTATION) or meta["name"]))


def _output(api: ApiServer, namespace: str, pod: str, step: str, tail: int) -> StepOutput:
    """Read one pod's log. Raise Later if the right to do so is missing; any other error becomes a note."""
    fields = {"container": "main", "tailLines": str(tail + SPARE), "limitBytes": str(OUTPUT_LIMIT)}
    path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
    try:
        text = api.text(ApiRequest("GET", path, fields=fields))
    except WorkflowError as error:
        if error.code == FORBIDDEN:
            raise _explained(error, namespace) from error
        return StepOutput(step, b"", note=str(error))
    return _limited(step, text, tail)


def _limited(step: str, text: bytes, tail: int) -> StepOutput:
    """Return the last `tail` lines of the step itself."""
    note = ""
    if len(text) >= OUTPUT_LIMIT:  # the server cut it: a part of a line could be a part of a secret
        text = text[: text.rfind(b"\n") + 1]
        note = f"what follows after {OUTPUT_LIMIT // 1024**2} MiB is left out: read fewer lines"
    lines = text.removesuffix(b"\n").split(b"\n")
    own = [line for line in lines if not _of_argo(line)]
    return StepOutput(step, b"\n".join(own[-tail:]), len(own) > tail or len(lines) >= tail + SPARE, note)


def _of_argo(line: bytes) -> bool:
    """Return whether Argo's executor wrote a line, as text or JSON, into the log of the container that it starts."""
    as_text = line.startswith(b"time=") and b" level=" in line[:80] and b" argo=true" in line
    return as_text or (line.startswith(b'{"time":') and b'"argo":true' in line)


def _explained(error: WorkflowError, namespace: str) -> WorkflowError:
    if error.code != FORBIDDEN:
        return error
    return Later(f"{error}; {_GRANT.format(namespace)}", code=FORBIDDEN, retry_after=60.0)
