"""Runs: their outcome, their inputs, and how to end or repeat them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from retrainer.api import views
from retrainer.api.parameters import Limit, Number, RunId, ServiceArgument, Text, page, refusals
from retrainer.api.problems import not_found
from retrainer.api.service import Service
from retrainer.manifests.document import document, place
from retrainer.runs.run import RunPhase
from retrainer.store import queries

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
    service: ServiceArgument,
    rule: Text = None,
    key: Text = None,
    phase: RunPhase | None = None,
    cursor: Text = None,
    limit: Limit = 50,
) -> Any:
    """Runs, newest first."""
    wanted = phase.value if phase is not None else None
    return page(
        service.read(
            lambda c: queries.runs(c, rule=rule, key=key, phase=wanted, page=queries.PageRequest(cursor, limit))
        )
    )


@router.get("/{run}", response_model=views.RunDetail)
def show_run(service: ServiceArgument, run: RunId) -> Any:
    """One run with all details."""
    return _run(service, run)


@router.get("/{run}/inputs", response_model=views.Page[views.Input])
def list_inputs(service: ServiceArgument, run: RunId, cursor: Number = None, limit: Limit = 100) -> Any:
    """The events that a run consumed, in order of arrival; a manual retry has those of the first attempt."""
    with refusals():
        found = service.read(lambda conn: queries.run_inputs(conn, run, after=cursor or 0, limit=limit))
    return page(queries.Page([{**event, **place(event)} for event in found.items], found.next))


@router.get("/{run}/manifest", response_class=StreamingResponse)
def show_manifest(service: ServiceArgument, run: RunId) -> StreamingResponse:
    """All events that a run consumed, as one JSON document with a line per input (docs/reference/manifest.md)."""
    _run(service, run)
    return StreamingResponse(document(service.read, run), media_type="application/json")


@router.post("/{run}/cancel", response_model=views.RunDetail)
def cancel(service: ServiceArgument, run: RunId, ending: Annotated[Ending, Body(default_factory=Ending)]) -> Any:
    """Request the end of a run. It has ended once its phase shows that."""
    with refusals():
        service.cancel(run, ending.strategy)
    return _run(service, run)


@router.post("/{run}/retry", response_model=views.RunDetail)
def retry(service: ServiceArgument, run: RunId) -> Any:
    """Start another attempt of an ended run, with the same parameters."""
    with refusals():
        again = service.retry(run)
    return _run(service, again["id"])


@router.post("/{run}/feedback", response_model=views.RunDetail)
def feedback(service: ServiceArgument, run: RunId, verdict: Verdict) -> Any:
    """Report whether a run's model was promoted. Repeating a report changes nothing."""
    with refusals():
        service.judge(run, promoted=verdict.promoted)
    return _run(service, run)


def _run(service: Service, run: str) -> dict[str, Any]:
    found = service.read(lambda conn: queries.run(conn, run))
    if found is None:
        raise not_found(f"there is no run {run}")
    return {**found, "waits": service.waits_for(run)}
