"""The daemon itself: probes, metrics, reload, and an index."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import prometheus_client
from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from retrainer.api.acting import Acts
from retrainer.api.context import WaitingComponent
from retrainer.api.overviews import ROLES, role_of
from retrainer.api.parameters import Context
from retrainer.api.sight import Sees
from retrainer.api.views import Moment, View
from retrainer.util import supervision

router = APIRouter(tags=["daemon"])
reload_router = APIRouter(tags=["daemon"])
"""Protected by the token, too."""
status_router = APIRouter(tags=["daemon"])
"""Under /api/v1, protected by the token, because reasons may name servers."""


class Exposition(Response):
    media_type = "text/plain"


class EventStream(StreamingResponse):
    """Server-sent events. The header makes proxies pass each event on at once."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[bytes], status_code: int = 200) -> None:
        super().__init__(content, status_code, headers={"X-Accel-Buffering": "no"})


class DroppedState(View):
    rule: str
    trigger: str
    why: str


class Reloaded(View):
    revision: str
    changed: bool
    problems: list[str]
    dropped: list[DroppedState]
    """State of triggers that is invalid for the current rules."""


class Health(View):
    status: Literal["ok", "stuck"]
    reasons: list[str] = []
    """Why it is stuck. A restart helps."""


class Readiness(View):
    ready: bool
    reasons: list[str]
    """Why it is not."""
    waiting: list[str] = []
    """Components that wait for a server or an operator, for what and since when. They continue by themselves."""


class Waiting(View):
    component: str
    """A source, a thread, `engine`, `workflows`, or the rules of a namespace."""
    dependency: str
    """What it waits for: `store`, `kafka`, `prometheus`, `queue`, `bucket`, `folder`, `api_server`, `decision`, …"""
    since: Moment
    error: str
    """The reason, as reported by the server or its client; empty if only the wait is known."""


class ThreadState(View):
    name: str
    does: str
    """Its task."""
    at: str
    """Where it is in the code of retrainer: `module:line function`."""
    waits_for: str
    """The system that it waits for; empty if it is in its own work."""
    restarts: int
    """How often it was started again because it had died."""


class Threads(View):
    items: list[ThreadState]


class Status(View):
    instance: str
    role: Literal["leader", "standby", "no_leader"]
    """`no_leader`: this replica is a standby, and no replica decides."""
    sentence: str
    """What the role means."""
    ready: bool
    reasons: list[str]
    """Why it is not."""
    waiting: list[Waiting]
    """Longest first."""


@router.get("/", include_in_schema=False)
async def index(api: Context, accept: Annotated[str, Header(max_length=4096)] = "") -> Any:
    """Links to the other endpoints; a browser is led to the page."""
    if "text/html" in accept:
        return RedirectResponse("ui/")
    return {
        "name": "retrainer",
        "instance": api.settings.name,
        "links": {
            "page": "/ui/",
            "api": "/api/v1/openapi.json",
            "rules": "/api/v1/rules",
            "runs": "/api/v1/runs",
            "sources": "/api/v1/sources",
            "status": "/api/v1/status",
            "metrics": "/metrics",
            "health": "/healthz",
            "readiness": "/readyz",
        },
    }


@router.get("/healthz", response_model=Health, responses={503: {"model": Health}})
async def show_health(api: Context) -> Any:
    """Whether the engine is alive. Does not depend on other servers."""
    reasons = api.stuck()
    return JSONResponse({"status": "stuck" if reasons else "ok", "reasons": reasons}, 503 if reasons else 200)


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
def show_readiness(api: Context) -> Any:
    """Whether it accepts events and decides, and what it waits for; `GET /api/v1/status` also shows why."""
    reasons = api.unready()
    content = {"ready": not reasons, "reasons": reasons, "waiting": [wait.in_words for wait in api.waiting()]}
    return JSONResponse(content, 503 if reasons else 200)


@status_router.get("/status", response_model=Status)
def show_status(api: Context, sees: Sees) -> Any:
    """State of the daemon: whether it is ready, and each component that waits for something else, with the reason.

    A token that is limited to namespaces gets no reasons, because they name servers of others.
    """
    reasons = api.unready()
    role, _ = role_of(api)
    return {
        "instance": api.settings.name,
        "role": role,
        "sentence": f"{ROLES[role]}.",
        "ready": not reasons,
        "reasons": reasons,
        "waiting": [_waits(wait, with_error=not sees.limited) for wait in api.waiting()],
    }


def _waits(wait: WaitingComponent, *, with_error: bool) -> dict[str, Any]:
    error = wait.error if with_error else ""
    return {"component": wait.component, "dependency": wait.dependency, "since": wait.since, "error": error}


@status_router.get("/threads", response_model=Threads)
async def list_threads() -> Any:
    """Where each long-lived thread is now. Depends on no other thread, so it is answered while they hang."""
    found = [
        {
            "name": worker.name,
            "does": worker.duty.does,
            "at": worker.where(),
            "waits_for": worker.party(),
            "restarts": worker.restarts,
        }
        for worker in supervision.running()
    ]
    return {"items": sorted(found, key=lambda thread: thread["name"])}


@status_router.get("/changes", response_class=EventStream)
async def follow_changes(api: Context, sees: Sees) -> EventStream:
    """Hints of what changed, as server-sent events, at most one a second.

    Each is an event `change` with the data `{"rules": […], "runs": […], "events": true, "everything": false}`.
    `everything`: too much to name.
    """
    api.changes.admit()
    return EventStream(api.changes.listen(sees))


@router.get("/metrics", response_class=Exposition)
def show_metrics(api: Context) -> Exposition:
    """All metrics for Prometheus."""
    return Exposition(api.metrics.exposition(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})


@reload_router.post("/-/reload", response_model=Reloaded)
def reload_rules(api: Context, acts: Acts) -> Any:
    """Read the rule files now. Broken files keep their last good text, and are listed under `problems`."""
    return acts.on("reload").outside(api.reload)
