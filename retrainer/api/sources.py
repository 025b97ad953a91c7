"""Sources: their state, resetting a partition, and replays."""

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field

from retrainer.api.acting import Acts
from retrainer.api.description import problems
from retrainer.api.parameters import MOMENT, Context, Cursor, Limit, Period, readable, refusals, shapes
from retrainer.api.sight import Sees
from retrainer.api.views import PRINTABLE, Json, Moment, Page, RequestBody, View, WholeNumber, words
from retrainer.sources.replay import moment_of
from retrainer.store.pages import PageRequest

router = APIRouter(prefix="/sources", tags=["sources"])
MOST_SOURCES = 1000
"""Sources on one page, if nothing else is asked for: the lines of all are computed anyway."""
Name = Annotated[str, Path(description="Name of a source", max_length=63, examples=["lake"])]


class Halted(View):
    partition: str
    reason: str
    """Why it is not read, with the remedy."""


class Source(View):
    name: str
    type: str
    up: bool
    """Whether it works."""
    last_error: str | None = None
    """The current problem."""
    poll_errors: int | None = None
    """Failed polls since it was started; null if it does not poll."""
    lag: int | None = None
    """Number of records that are not stored yet, if known."""
    halted: list[Halted]
    """Partitions that are not read until an operator decides."""
    max_silence: float | None = None
    """Seconds within which it should receive something."""
    silent: bool | None = None
    """Whether nothing was received for longer than that; null without `max_silence`."""
    first_seen_at: Moment | None = None
    """When it was first configured."""
    last_event_at: Moment | None = None


class Position(View):
    partition: str
    next: int
    """The first position that is not stored."""
    topic_id: str
    """Distinguishes partitions of the same name: for Kafka, the topic's id."""


class ReplayOutcomes(View):
    """Events of each outcome (docs/how-to/replay.md)."""

    matched: int
    duplicate: int
    filtered: int
    ignored: int
    unknown: int
    dead_lettered: int


class Replay(View):
    source: str
    state: Annotated[str, words(["running", "done", "cancelled", "failed"])]
    from_: Annotated[Moment, Field(alias="from")]
    to: Moment
    rules: list[str]
    dry_run: bool
    """Nothing is stored: the outcomes show what would happen."""
    started_at: Moment
    ended_at: Moment | None = None
    reached: Moment | None = None
    """Time of the latest event of the last step."""
    read: int
    """Events so far: the sum of the outcomes."""
    outcomes: ReplayOutcomes
    error: str
    """Why it failed."""


class SourceDetail(Source):
    positions: list[Position]
    resettable: bool
    """Whether positions can be reset."""
    not_replayable: str
    """Why it cannot be read again; empty if it can."""
    replay: Replay | None
    """The last one since the daemon started."""
    configuration: Json
    """The source in force; durations in seconds, sizes in bytes."""


class Reset(View):
    source: str
    partition: str
    next: int
    """Where it continues."""
    topic_id: str
    before: int
    """Where it would continue without the reset."""
    skipped: int | None
    """Records that are not read, at most; null if it is not known, because the topic was created again."""
    read_again: int | None
    """Records that are read again, at most."""
    detail: str
    """The same as a sentence."""


ReplayTime = Annotated[str, Field(max_length=64), readable(partial(moment_of, now=0.0)), shapes(MOMENT)]


class ResetRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"partition": "orders/3", "to": "latest", "dry_run": True}]}
    )

    partition: Annotated[str, Field(min_length=1, max_length=1024, pattern=PRINTABLE)]
    """A partition as named by `GET /sources/{source}`: for Kafka, `topic/partition`."""
    to: Literal["earliest", "latest"] | WholeNumber
    """Where to continue: at the first existing record, after the last one, or at an offset."""
    dry_run: bool = False
    """Only show where it would continue, and what is skipped or read again."""


class ReplayRequest(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"from": "7d", "rules": ["churn"], "dry_run": True}]})

    from_: Annotated[ReplayTime, Field(alias="from")]
    """RFC 3339 with a zone, or a duration before now, such as `7d`."""
    to: ReplayTime | None = None
    """The same; now if not given."""
    rules: Annotated[list[str], Field(max_length=10_000)] = []
    """Rules to replay for; all rules of the source if not given."""
    dry_run: bool = False
    """Only count what would happen."""


@router.get("", response_model=Page[Source])
def list_sources(api: Context, sees: Sees, period: Period, cursor: Cursor = None, limit: Limit = MOST_SOURCES) -> Any:
    """Sources by name, with their state. `since` and `until`: those whose last event arrived then."""
    asked = PageRequest(cursor or "", limit, *period)
    found = [
        source
        for source in api.sources.summaries()
        if source["name"] > asked.cursor and sees.has_source(source["name"]) and asked.covers(source["last_event_at"])
    ]
    return {"items": found[:limit], "next": found[limit - 1]["name"] if len(found) > limit else None}


@router.get("/{source}", response_model=SourceDetail, responses=problems(404))
def show_source(api: Context, sees: Sees, source: Name) -> Any:
    """One source, the position of each partition, its last replay, and its configuration."""
    with refusals():
        found = api.sources.detail(source)
    if found["replay"] is not None:
        found["replay"] = {**found["replay"], "rules": sees.rules_of(found["replay"]["rules"])}
    return found


@router.post("/{source}/reset", response_model=Reset, responses=problems(404, 409))
def reset_source(api: Context, acts: Acts, source: Name, resetting: ResetRequest) -> Any:
    """Set where a partition continues, whatever its stored position. Records in between are skipped, or read again."""
    with refusals():
        place = f"{resetting.partition} to {resetting.to}"
        act = acts.on("reset_source", target=source, dry_run=resetting.dry_run, detail=place)
        if resetting.dry_run:
            return act.outside(partial(api.sources.plan_reset, source, resetting.partition, resetting.to))
        return api.sources.reset(source, resetting.partition, resetting.to, act)


@router.post("/{source}/replay", response_model=Replay, status_code=202, responses=problems(404, 409))
def replay_source(api: Context, acts: Acts, source: Name, replaying: ReplayRequest) -> Any:
    """Start to read a source again. What a rule counted before is not counted again."""
    period = f"from {replaying.from_} to {replaying.to or 'now'}"
    act = acts.on("replay_source", target=source, dry_run=replaying.dry_run, detail=period)
    order = (source, replaying.from_, replaying.to, replaying.rules)
    with refusals():
        return act.outside(partial(api.sources.replay, *order, dry_run=replaying.dry_run))


@router.get("/{source}/replay", response_model=Replay, responses=problems(404))
def show_replay(api: Context, sees: Sees, source: Name) -> Any:
    """Progress of the last replay of a source."""
    with refusals():
        progress = api.sources.replay_progress(source)
    return {**progress, "rules": sees.rules_of(progress["rules"])}


@router.delete("/{source}/replay", response_model=Replay, responses=problems(404))
def cancel_replay(api: Context, acts: Acts, source: Name) -> Any:
    """Request the end of a replay. It has ended once its state shows that. What was stored stays."""
    with refusals():
        return acts.on("cancel_replay", target=source).outside(partial(api.sources.cancel_replay, source))
