"""Runs: their outcome, their inputs, and how to end or repeat them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from pydantic import ConfigDict, Field

from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.external import page_of
from retrainer.api.ledger import Event
from retrainer.api.links import OutwardLink, links_of_run
from retrainer.api.parameters import Context, Cursor, Limit, Number, Period, RunId, Text, page, refusals
from retrainer.api.sight import Sees
from retrainer.api.views import Id, Json, Moment, NotGiven, Page, Phase, View
from retrainer.engine.runs.waits import waits_for
from retrainer.manifests.document import document, place
from retrainer.runs.acts import why_no_cancel, why_no_feedback, why_no_retry
from retrainer.runs.run import Run as StoredRun
from retrainer.runs.run import RunPhase
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries, run_statements
from retrainer.store.pages import Page as Rows
from retrainer.store.pages import PageRequest

router = APIRouter(prefix="/runs", tags=["runs"])


class Because(View):
    """A trigger, with further values of its kind; or a group of `when` with its members, under `any` or `all`."""

    model_config = ConfigDict(extra="allow")

    trigger: str | None = NotGiven
    reason: str | None = NotGiven
    detail: str | None = NotGiven
    any: list["Because"] | None = NotGiven
    all: list["Because"] | None = NotGiven
    within_seconds: float | None = NotGiven


class Cause(View):
    triggers: list[str] = []
    """All triggers that were satisfied when the run was created."""
    because: Because = Because()
    """The same as a tree, as combined by `when`, each with its reason."""
    values: dict[str, float] = {}
    """The furthest value of each metric at that time."""
    upstream: str | None = None
    """The run of another rule that it follows."""
    detail: str = ""
    request: str | None = NotGiven
    """Id of the request of a manual run or a backfill."""
    by: str | None = NotGiven
    """Who requested it."""


class Run(View):
    id: Id
    rule: str
    key: str
    phase: Phase
    workflow: str
    """Name of the Workflow, set before it is created."""
    namespace: str
    uid: str | None = None
    trigger: str
    reason: str
    revision: str
    chain: Id
    """Id of the first attempt."""
    attempt: int
    retry_of: Id | None = None
    parameters: dict[str, str]
    pool: str | None = None
    priority: int
    scheduled_at: Moment | None = None
    created_at: Moment
    admitted_at: Moment | None = None
    submitted_at: Moment | None = None
    started_at: Moment | None = None
    ended_at: Moment | None = None
    message: str
    progress: str
    outputs: Json
    """Output parameters of the Workflow, and what its feedback reported."""
    resources: dict[str, float]
    """Seconds of use by resource."""
    cause: Cause
    promoted: bool | None = None
    """Whether its model was promoted; null if not reported."""
    gpu_hours: float | None = None
    """Its cost, once it has ended."""
    stop_requested: str | None = None
    """Stop or Terminate."""


class Window(View):
    events: int = 0
    bytes: int = 0
    rows: int = 0
    start: Moment | None = None
    """Time of the earliest event."""
    end: Moment | None = None
    """Time of the latest event."""
    first_at: Moment | None = None
    last_at: Moment | None = None
    first_key: str = ""
    """Label of the first event that arrived."""
    last_key: str = ""
    ranges: list[Annotated[list[int], Field(min_length=2, max_length=2)]] = []
    """First and last `seq` of each range; events of this rule and key within them are the run's inputs."""
    parts: dict[str, Annotated[list[int], Field(min_length=2, max_length=2)]] = {}
    """First and last offset of each partition, for a source with offsets."""


class ManifestWindow(View):
    """As `window` of the run; fields are left out if nothing fed the run."""

    events: int | None = NotGiven
    bytes: int | None = NotGiven
    rows: int | None = NotGiven
    start: Moment | None = NotGiven
    end: Moment | None = NotGiven
    first_key: str | None = NotGiven
    last_key: str | None = NotGiven
    parts: dict[str, list[int]] | None = NotGiven


class ManifestInput(View):
    """One input and its location, as in docs/reference/manifest.md. `data` is given if the input is not an object."""

    seq: int
    source: str
    id: str
    type: str
    subject: str
    time: Moment
    bucket: str | None = NotGiven
    key: str | None = NotGiven
    version: str | None = NotGiven
    etag: str | None = NotGiven
    size: int | None = NotGiven
    rows: int | None = NotGiven
    path: str | None = NotGiven
    topic: str | None = NotGiven
    partition: int | None = NotGiven
    offset: int | None = NotGiven
    data: Json | None = NotGiven


class Manifest(View):
    manifest: Literal[1]
    """Version of the format."""
    run: Id
    rule: str
    key: str
    trigger: str
    reason: str
    workflow: str
    namespace: str
    chain: Id
    created_at: Moment
    window: ManifestWindow
    inputs: list[ManifestInput]
    count: int
    """Number of inputs."""


class ManifestDocument(StreamingResponse):
    media_type = "application/json"


class Waits(View):
    reason: str
    """pool, budget, retry, submission or admission."""
    detail: str
    until: Moment | None = None
    """When it may change without further input, if known."""
    held_by: list[Id]
    """Ids of the runs that use what it waits for."""


class PossibleActs(View):
    """For each act why the engine would refuse it now; empty if it would accept it."""

    cancel: str
    retry: str
    feedback: str


class RunDetail(Run):
    waits: Waits | None = None
    """What an unstarted run waits for."""
    page: str
    """Address of its page. It begins with `http.external_url`; without it, with `/ui/`."""
    acts: PossibleActs
    links: list[OutwardLink]
    """To other pages, by `links` of the settings."""
    submit: Json
    """The rule's `submit` section when the run was created."""
    labels: dict[str, str]
    window: Window
    not_before: Moment
    submit_attempts: int
    released: bool
    """Whether our finalizer was removed from the Workflow."""


class Input(Event):
    """An event that a run consumed, and the location of its object or record."""

    bucket: str | None = None
    """For an object, as are the next four."""
    key: str | None = None
    version: str | None = None
    etag: str | None = None
    size: int | None = None
    topic: str | None = None
    """For a Kafka record, as are the next two."""
    partition: int | None = None
    offset: int | None = None


def _resolved(api: Context, sees: Sees, run: RunId) -> str:
    with refusals():
        return api.read(queries.run_id, run, sees)


KnownRun = Annotated[str, Depends(_resolved)]


@router.get("", response_model=Page[Run])
def list_runs(
    api: Context,
    sees: Sees,
    period: Period,
    rule: Text = None,
    key: Text = None,
    phase: RunPhase | None = None,
    trigger: Text = None,
    ended: bool | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Any:
    """Runs, newest first. `since` and `until`: created then. `trigger`: its name, or `manual`."""
    wanted = {"rule": rule, "key": key, "phase": phase.value if phase is not None else None, "trigger": trigger}
    asked = PageRequest(cursor, limit, *period)
    return page(api.read(queries.runs, ended=ended, scope=sees, page=asked, **wanted))


@router.get("/{run}", response_model=RunDetail, responses=problems(404, 409))
def show_run(api: Context, run: KnownRun) -> Any:
    """One run with all details."""
    return run_detail(api, run)


@router.get("/{run}/inputs", response_model=Page[Input], responses=problems(404, 409))
def list_inputs(
    api: Context, sees: Sees, period: Period, run: KnownRun, cursor: Number = None, limit: Limit = 100
) -> Any:
    """The events that a run consumed, in order of arrival; a manual retry has those of the first attempt.

    `since` and `until`: received then.
    """
    with refusals():
        found = api.read(queries.run_inputs, run, PageRequest(cursor, limit, *period))
    return page(Rows([{**sees.event(event), **place(event)} for event in found.items], found.next))


@router.get(
    "/{run}/manifest", response_class=ManifestDocument, responses={200: {"model": Manifest}, **problems(404, 409)}
)
def show_manifest(api: Context, run: KnownRun) -> ManifestDocument:
    """All events that a run consumed, as one JSON document with a line per input (docs/reference/manifest.md)."""
    run_detail(api, run)
    return ManifestDocument(document(api.engine.store.read, run))


def run_detail(api: ApiContext, run_id: str) -> dict[str, Any]:
    """Return a run as `RunDetail` shows it. Raise Refusal."""
    found, run = api.read(queries.run, run_id), api.read(run_statements.run, run_id)
    if found is None or run is None:
        raise Refusal(404, f"there is no run {run_id}")
    return {**found, **possible_acts(api, run)}


def possible_acts(api: ApiContext, run: StoredRun) -> dict[str, Any]:
    """Return what a run waits for, what may be done with it, and where it is shown elsewhere."""
    acts = {"cancel": why_no_cancel(run), "retry": why_no_retry(run), "feedback": why_no_feedback(run)}
    now = api.engine.clock.now()
    waits = api.read(waits_for, api.engine.catalog, run, now)
    links = links_of_run(api.settings.links, run, now)
    return {"waits": waits, "acts": acts, "links": links, "page": page_of(api.settings.http, "runs", run.id)}
