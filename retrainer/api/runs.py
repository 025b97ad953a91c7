"""Runs: their outcome, their inputs, and how to end or repeat them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from retrainer.api import views
from retrainer.api.context import ApiContext
from retrainer.api.parameters import Context, Limit, Number, RunId, Text, page, refusals
from retrainer.api.problems import not_found
from retrainer.engine.commands import operator_commands
from retrainer.engine.commands.feedback import judge
from retrainer.engine.runs.waits import waits_for
from retrainer.manifests.document import document, place
from retrainer.runs.run import RunPhase
from retrainer.store import queries, run_statements
from retrainer.store.queries import PageRequest

router = APIRouter(prefix="/runs", tags=["runs"])


class Ending(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    strategy: Literal["Stop", "Terminate"] = "Stop"
    """`Stop` runs the workflow's exit handlers, `Terminate` does not."""


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    promoted: bool
    """Whether the model of the run was promoted."""


@router.get("", response_model=views.Page[views.Run])
def list_runs(
    api: Context,
    rule: Text = None,
    key: Text = None,
    phase: RunPhase | None = None,
    cursor: Text = None,
    limit: Limit = 50,
) -> Any:
    """Runs, newest first."""
    wanted = phase.value if phase is not None else None
    return page(api.read(queries.runs, rule=rule, key=key, phase=wanted, page=PageRequest(cursor, limit)))


@router.get("/{run}", response_model=views.RunDetail)
def show_run(api: Context, run: RunId) -> Any:
    """One run with all details."""
    return _run(api, run)


@router.get("/{run}/inputs", response_model=views.Page[views.Input])
def list_inputs(api: Context, run: RunId, cursor: Number = None, limit: Limit = 100) -> Any:
    """The events that a run consumed, in order of arrival; a manual retry has those of the first attempt."""
    with refusals():
        found = api.read(queries.run_inputs, run, after=cursor or 0, limit=limit)
    return page(queries.Page([{**event, **place(event)} for event in found.items], found.next))


@router.get("/{run}/manifest", response_class=StreamingResponse)
def show_manifest(api: Context, run: RunId) -> StreamingResponse:
    """All events that a run consumed, as one JSON document with a line per input (docs/reference/manifest.md)."""
    _run(api, run)
    return StreamingResponse(document(api.store.read, run), media_type="application/json")


@router.post("/{run}/cancel", response_model=views.RunDetail)
def cancel(api: Context, run: RunId, ending: Annotated[Ending, Body(default_factory=Ending)]) -> Any:
    """Request the end of a run. It has ended once its phase shows that."""
    with refusals():
        api.act(operator_commands.cancel, run, ending.strategy)
    return _run(api, run)


@router.post("/{run}/retry", response_model=views.RunDetail)
def retry(api: Context, run: RunId) -> Any:
    """Start another attempt of an ended run, with the same parameters."""
    with refusals():
        attempt = api.act(operator_commands.retry, run)
    return _run(api, attempt)


@router.post("/{run}/feedback", response_model=views.RunDetail)
def feedback(api: Context, run: RunId, verdict: Verdict) -> Any:
    """Report whether a run's model was promoted. Repeating a report changes nothing."""
    with refusals():
        api.act(judge, run, promoted=verdict.promoted)
    return _run(api, run)


def _run(api: ApiContext, run_id: str) -> dict[str, Any]:
    found, run = api.read(queries.run, run_id), api.read(run_statements.run, run_id)
    if found is None or run is None:
        raise not_found(f"there is no run {run_id}")
    return {**found, "waits": api.read(waits_for, api.engine.catalog, run, api.clock.now())}
