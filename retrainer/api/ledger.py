"""The record of events, decisions and schedule slots."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request

from retrainer.api import audit
from retrainer.api.description import problems
from retrainer.api.event_counts import DensityQuery, EventCounts
from retrainer.api.parameters import CURSOR, BigNumber, Context, Limit, Number, Period, Text, page
from retrainer.api.sight import Sees
from retrainer.api.views import PRINTABLE, Id, Json, Moment, Page, Strip, View, words
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries
from retrainer.store.pages import Page as Rows
from retrainer.store.pages import PageRequest
from retrainer.store.scope import Scope
from retrainer.store.search import EventQuery

router = APIRouter(tags=["ledger"])
DAY = 86400.0
SlotCursor = Annotated[
    str | None,
    Query(max_length=2048, pattern=r"^[0-9]{1,11}(\.[0-9]{1,9})?/[^/\x00]*/[^\x00]*$", description=CURSOR),
]


class Event(View):
    seq: int
    """Position in the order of all inputs."""
    at: Moment
    """When it was received."""
    source: str
    id: str
    type: str
    time: Moment
    """Time of the event itself."""
    subject: str
    data: Json
    """As the sender wrote it."""
    attributes: Json
    """Extensions of a CloudEvent, and the place of a Kafka record."""
    outcome: Annotated[str, words(["matched", "filtered", "ignored", "dead_lettered"])]
    rules: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    """Rules that it matched, as [rule, key]."""


class Effect(View):
    rule: str
    key: str
    outcome: Annotated[str, words(["matched", "dead_lettered", "missed"])]
    """missed: an event of that source for which one condition did not hold."""
    run: Id | None = None
    """The run that consumed it; null while it is pending."""
    detail: str
    """The only condition that failed, by the rule's current configuration."""


class FoundEvent(Event):
    effects: list[Effect]


class EventCount(View):
    matched: int = 0
    filtered: int = 0
    ignored: int = 0
    dead_lettered: int = 0


class EventBucket(EventCount):
    at: Moment
    """Its begin."""


class EventDensity(View):
    since: Moment
    """The period, extended to whole buckets."""
    until: Moment
    seconds: int
    """Length of a bucket."""
    complete: bool
    """Whether all events of the period are counted. If not, ask again: each request counts further, newest first."""
    buckets: list[EventBucket]
    """Those with events, by time."""
    total: EventCount


class Decision(Strip):
    rule: str
    key: str


class Slot(View):
    key: str
    trigger: str
    slot: Moment
    until: Moment
    """Last slot of the range; the slot itself if it is alone."""
    count: int
    outcome: Annotated[str, words(["due", "fired", "skipped", "missed"])]
    reason: str
    run: Id | None = None
    at: Moment


@router.get("/events", response_model=Page[Event])
def list_events(
    api: Context,
    sees: Sees,
    period: Period,
    source: Text = None,
    outcome: Literal["matched", "filtered", "ignored", "dead_lettered"] | None = None,
    rule: Text = None,
    key: Text = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Accepted events, newest first; with `rule` (and `key`) those it matched. `since` and `until`: received then."""
    if rule is not None and not sees.has_rule(rule):
        return page(Rows([]))
    asked = PageRequest(cursor, limit, *period)
    matched = None if rule is None else (rule, key)
    found = api.read(queries.events, source=source, outcome=outcome, matched=matched, scope=sees, page=asked)
    return page(Rows(list(map(sees.event, found.items)), found.next))


@router.get("/events/find", response_model=Page[FoundEvent])
def find_events(
    api: Context,
    sees: Sees,
    period: Period,
    text: Annotated[
        str, Query(min_length=1, max_length=1024, pattern=PRINTABLE, description="Number, id, object or subject")
    ],
    source: Text = None,
    cursor: Number = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 5,
) -> Any:
    """Events with that number, id, object (`bucket/key`) or subject, and their effect in each rule or near miss.

    Each call searches 20,000 events for a subject, newest first: `next` continues with earlier ones.
    """
    query = EventQuery(text, source, cursor, *period, limit)
    rules = [rule for name, rule in api.engine.catalog.rules.items() if sees.has_rule(name)]
    found = audit.find(api.engine.store, rules, query)
    return page(Rows([_seen(sees, item) for item in found.items if sees.has_source(item["source"])], found.next))


def _seen(sees: Scope, found: dict[str, Any]) -> dict[str, Any]:
    return {**sees.event(found), "effects": [effect for effect in found["effects"] if sees.has_rule(effect["rule"])]}


@router.get("/events/density", response_model=EventDensity, responses=problems(409))
def count_events(api: Context, sees: Sees, request: Request, period: Period, source: Text = None) -> Any:
    """How many events arrived when, by outcome, in at most 121 buckets. The last day, without `since` and `until`."""
    since, until = period
    end = until if until is not None else api.engine.clock.now()
    begin = since if since is not None else end - DAY
    if begin >= end:
        raise Refusal(409, "`since` must be before `until`")
    counts: EventCounts = request.app.state.event_counts
    return counts.answer(DensityQuery(begin, end, source, sees))


@router.get("/events/{seq:number}", response_model=Event, responses=problems(404))
def show_event(api: Context, sees: Sees, seq: BigNumber) -> Any:
    """One event."""
    found = api.read(queries.event, seq)
    if found is None or not sees.has_source(found["source"]):
        raise Refusal(404, f"there is no event {seq}, or it was pruned")
    return sees.event(found)


@router.get("/decisions", response_model=Page[Decision])
def list_decisions(
    api: Context,
    sees: Sees,
    period: Period,
    rule: Text = None,
    key: Text = None,
    decision: Literal["fire", "hold", "skip"] | None = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Decisions with their reasons, newest first. `since` and `until`: those that held then."""
    asked = PageRequest(cursor, limit, *period)
    return page(api.read(queries.decisions, rule=rule, key=key, decision=decision, scope=sees, page=asked))


@router.get("/slots", response_model=Page[Slot])
def list_slots(
    api: Context,
    sees: Sees,
    period: Period,
    rule: Annotated[str, Query(max_length=63, pattern=PRINTABLE)],
    key: Text = None,
    cursor: SlotCursor = None,
    limit: Limit = 50,
) -> Any:
    """Schedule slots of a rule, newest first, each with its outcome. `since` and `until` are about the slot."""
    if not sees.has_rule(rule):
        return page(Rows([]))
    found = api.read(queries.slots, rule, key=key, page=PageRequest(_slot_of(cursor), limit, *period))
    following = "{0!r}/{2}/{1}".format(*found.next) if found.next is not None else None
    return {"items": found.items, "next": following}


def _slot_of(cursor: str | None) -> tuple[float, str, str] | None:
    """Return (slot, key, trigger). A trigger's name has no slash, a key may have some."""
    if cursor is None:
        return None
    slot, trigger, key = cursor.split("/", 2)
    return float(slot), key, trigger
