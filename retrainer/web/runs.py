"""Runs: what became of them, what fed them, and how to end or repeat them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from retrainer.runs.run import RunPhase
from retrainer.store import queries
from retrainer.web import views
from retrainer.web.asking import Asked, Limit, Number, RunId, Text, page, refusals
from retrainer.web.problems import not_found
from retrainer.web.service import Service

router = APIRouter(prefix="/runs", tags=["runs"])
_CHUNK = 1000


class Ending(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    strategy: Literal["Stop", "Terminate"] = "Stop"
    """`Stop` runs the workflow's exit handlers, `Terminate` does not."""


@router.get("", response_model=views.Page[views.Run])
def list_runs(
    service: Asked,
    rule: Text = None,
    key: Text = None,
    phase: RunPhase | None = None,
    cursor: Text = None,
    limit: Limit = 50,
) -> Any:
    """Runs from the newest to the oldest."""
    wanted = phase.value if phase is not None else None
    return page(service.read(lambda c: queries.runs(c, rule=rule, key=key, phase=wanted, before=cursor, limit=limit)))


@router.get("/{run}", response_model=views.RunDetail)
def show_run(service: Asked, run: RunId) -> Any:
    """All that is known of a run."""
    return _run(service, run)


@router.get("/{run}/inputs", response_model=views.Page[views.Event])
def list_inputs(service: Asked, run: RunId, cursor: Number = None, limit: Limit = 100) -> Any:
    """The events that fed a run, in the order they came."""
    with refusals():
        return page(service.read(lambda conn: queries.run_inputs(conn, run, after=cursor or 0, limit=limit)))


@router.get("/{run}/manifest", response_class=StreamingResponse)
def show_manifest(service: Asked, run: RunId) -> StreamingResponse:
    """Everything that fed a run, in one JSON document: the run, and under `inputs` each event."""
    found = views.RunDetail.model_validate(_run(service, run))
    return StreamingResponse(_manifest(service, found), media_type="application/json")


@router.post("/{run}/cancel", response_model=views.RunDetail)
def cancel(service: Asked, run: RunId, ending: Annotated[Ending, Body(default_factory=Ending)]) -> Any:
    """Request that a run ends; it has once its phase says so."""
    with refusals():
        service.cancel(run, ending.strategy)
    return _run(service, run)


@router.post("/{run}/retry", response_model=views.RunDetail)
def retry(service: Asked, run: RunId) -> Any:
    """Start another attempt of an ended run, with the same parameters."""
    with refusals():
        again = service.retry(run)
    return _run(service, again["id"])


def _run(service: Service, run: str) -> dict[str, Any]:
    found = service.read(lambda conn: queries.run(conn, run))
    if found is None:
        raise not_found(f"there is no run {run}")
    return found


def _manifest(service: Service, run: views.RunDetail) -> Iterator[bytes]:
    """Give it in pieces: the inputs may be millions, and the engine waits while one page is read."""
    yield orjson.dumps({"run": run.model_dump(mode="json")})[:-1] + b',"inputs":['
    found = queries.Page([], 0)
    comma = b""
    while found.next is not None:
        found = service.read(lambda conn, after=found.next: queries.run_inputs(conn, run.id, after, _CHUNK))  # type: ignore[misc]
        for item in found.items:
            yield comma + views.Event.model_validate(item).model_dump_json(exclude={"rules", "outcome"}).encode()
            comma = b","
    yield b"]}"
