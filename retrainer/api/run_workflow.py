"""The Workflow of a run with its nodes, as the workflow engine shows it now."""

from typing import Any, Literal

from fastapi import APIRouter

from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context
from retrainer.api.runs import KnownRun
from retrainer.api.views import Moment, View
from retrainer.runs.run import Run
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.store import run_statements
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.timefmt import rfc3339
from retrainer.workflows.base import NodeStatus, Refused, WorkflowError, WorkflowNodes
from retrainer.workflows.outline import outline, stuck

router = APIRouter(prefix="/runs", tags=["runs"])
MOST_NODES = 100
LONGEST = 2000
"""Characters of a text of a node."""
RETRY_AFTER = 5.0


class WorkflowNode(View):
    """A pod, or a group of nodes."""

    id: str
    name: str
    """As in the logs: without the name of the Workflow."""
    type: str
    """Argo's word, such as Pod, DAG, Steps or Retry."""
    template: str
    phase: str
    """Argo's word, such as Pending, Running, Succeeded, Failed, Error, Skipped or Omitted."""
    message: str
    """In the words of the workflow engine."""
    depth: int
    """Number of nodes around it."""
    started_at: Moment | None = None
    finished_at: Moment | None = None
    exit_code: str | None = None
    children: list[str]
    """Ids of the nodes it leads to, among those in the answer."""


class RunWorkflow(View):
    name: str
    namespace: str
    state: Literal["not_created", "exists", "gone"]
    """If it does not exist, the fields below are what is stored of it."""
    note: str
    """What is missing in this answer, and why; empty if nothing is."""
    phase: str
    message: str
    progress: str
    started_at: Moment | None = None
    finished_at: Moment | None = None
    nodes: list[WorkflowNode]
    """Each after the node that contains it, by their start. If there are too many, those that failed or run first."""
    node_count: int
    """Number of all nodes."""
    stuck: str
    """The first node that failed, with its message; while it runs, the one that waits. Empty if there is none."""


@router.get("/{run}/workflow", response_model=RunWorkflow, responses=problems(404, 409))
def show_workflow(api: Context, run: KnownRun) -> Any:
    """The Workflow of a run with at most 100 of its nodes, from the workflow engine; or what is stored of it."""
    found = api.read(run_statements.run, run)
    if found is None:
        raise Refusal(404, f"there is no run {run}")
    if found.uid is None:
        return _stored(found, "not_created", f"the run is {found.phase}: its Workflow has not been created")
    seen = _seen(api, found)
    if seen is None or seen.workflow.run not in ("", run):
        ended = rfc3339(found.ended_at) if found.ended_at is not None else ""
        when = f"after the run had ended at {ended}" if ended else "before its end was seen"
        return _stored(found, "gone", f"the Workflow does not exist any more: it was deleted {when}")
    return _shown(seen)


def _seen(api: ApiContext, run: Run) -> WorkflowNodes | None:
    try:
        return api.nodes(run.namespace, run.workflow)
    except Refused as error:
        raise Refusal(404, _text(str(error))) from None
    except WorkflowError as error:
        raise not_now(_text(str(error)), getattr(error, "retry_after", None) or RETRY_AFTER) from None


def _shown(seen: WorkflowNodes) -> dict[str, Any]:
    shown = outline(seen.nodes, MOST_NODES)
    ids = {node.id for _, node in shown}
    left = len(seen.nodes) - len(shown)
    note = f"{left} of {len(seen.nodes)} nodes are left out; those that failed or run come first" if left else ""
    return {
        "name": seen.workflow.name,
        "namespace": seen.workflow.namespace,
        "state": "exists",
        "note": _text(seen.note or note),
        "phase": seen.workflow.phase or "Pending",
        "message": _text(seen.workflow.message),
        "progress": seen.workflow.progress,
        "started_at": seen.workflow.started_at,
        "finished_at": seen.workflow.finished_at,
        "nodes": [_node(depth, node, ids) for depth, node in shown],
        "node_count": len(seen.nodes),
        "stuck": _text(stuck(seen)),
    }


def _node(depth: int, node: NodeStatus, ids: set[str]) -> dict[str, Any]:
    texts = {"name": node.name, "type": node.kind, "template": node.template, "phase": node.phase}
    return {
        "id": node.id,
        **{name: _text(text) for name, text in texts.items()},
        "message": _text(node.message),
        "depth": depth,
        "started_at": node.started_at,
        "finished_at": node.finished_at,
        "exit_code": node.exit_code,
        "children": [child for child in node.children if child in ids],
    }


def _stored(run: Run, state: str, note: str) -> dict[str, Any]:
    return {
        "name": run.workflow,
        "namespace": run.namespace,
        "state": state,
        "note": note,
        "phase": run.phase.value,
        "message": run.message,
        "progress": run.progress,
        "started_at": run.started_at,
        "finished_at": run.ended_at,
        "nodes": [],
        "node_count": 0,
        "stuck": "",
    }


def _text(text: str) -> str:
    """Return foreign text without secrets, and not longer than `LONGEST`."""
    masked = SECRETS.mask(text)
    return masked if len(masked) <= LONGEST else f"{masked[: LONGEST - 1]}…"
