"""The record of events, decisions, schedule slots and dead letters."""

import base64
import binascii
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field

from retrainer.api import audit
from retrainer.api.parameters import BigNumber, Context, Limit, Number, Text, page, refusals
from retrainer.api.views import Moment, Open, Page, RequestBody, View
from retrainer.engine.commands import long_commands, operator_commands
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries
from retrainer.store.search import EventQuery

router = APIRouter(tags=["ledger"])


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
    data: dict[str, Any]
    attributes: dict[str, Any]
    outcome: str
    """matched, filtered or ignored."""
    rules: list[tuple[str, str]]
    """Rules that it matched, as [rule, key]."""


class Effect(View):
    rule: str
    key: str
    outcome: str
    """matched, dead_lettered, or missed: an event of that source for which one condition did not hold."""
    run: str | None = None
    """The run that consumed it; null while it is pending."""
    detail: str
    """The only condition that failed, by the rule's current configuration."""


class Found(Event):
    effects: list[Effect]


class Decision(View):
    id: int
    rule: str
    key: str
    decision: str
    reason: str
    detail: str
    until: Moment | None = None
    run: str | None = None
    first_at: Moment
    last_at: Moment
    count: int
    """Number of equal consecutive decisions."""


class Slot(View):
    key: str
    trigger: str
    slot: Moment
    until: Moment
    """Last slot of the range; the slot itself if it is alone."""
    count: int
    outcome: str
    """due, fired, skipped or missed."""
    reason: str
    run: str | None = None
    at: Moment


class DeadLetter(View):
    id: int
    at: Moment
    source: str
    event: str
    """The event's id."""
    reason: str
    error: str
    rule: str
    """The rule that could not process it, or empty."""
    size: int
    """Bytes of its payload."""


class DeadLetterDetail(DeadLetter):
    payload: str
    encoding: str
    """utf-8 or base64."""


class Replayed(Open):
    replayed: int
    failed: list[dict[str, Any]] = []


class Discarded(View):
    discarded: int


class Ids(RequestBody):
    ids: Annotated[list[Annotated[int, Field(ge=0, le=2**63 - 1)]], Field(min_length=1, max_length=500)]


@router.get("/events", response_model=Page[Event])
def list_events(
    api: Context,
    source: Text = None,
    outcome: Literal["matched", "filtered", "ignored"] | None = None,
    rule: Text = None,
    key: Text = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Accepted events, newest first; with `rule` (and `key`) those it matched."""
    return page(
        api.read(
            queries.events, source=source, outcome=outcome, rule=rule, key=key, page=queries.PageRequest(cursor, limit)
        )
    )


@router.get("/events/find", response_model=Page[Found])
def find_events(
    api: Context,
    text: Annotated[str, Query(min_length=1, max_length=1024)],
    source: Text = None,
    since: Annotated[AwareDatetime | None, Query(description="Received at this time or later")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Received before this time")] = None,
    cursor: Number = None,
    limit: Annotated[int, Query(ge=1, le=50)] = 5,
) -> Any:
    """Events with that number, id, object (`bucket/key`) or subject, and their effect in each rule or near miss.

    Each call searches 20,000 events for a subject, newest first: `next` continues with earlier ones.
    """
    began, ended = (moment.timestamp() if moment is not None else None for moment in (since, until))
    query = EventQuery(text, source, cursor, began, ended, limit)
    return page(audit.find(api.engine.store, api.engine.catalog.rules.values(), query))


@router.get("/events/{seq}", response_model=Event)
def show_event(api: Context, seq: BigNumber) -> Any:
    """One event."""
    found = api.read(queries.event, seq)
    if found is None:
        raise Refusal(404, f"there is no event {seq}, or it was pruned")
    return found


@router.get("/decisions", response_model=Page[Decision])
def list_decisions(
    api: Context,
    rule: Text = None,
    key: Text = None,
    decision: Literal["fire", "hold", "skip"] | None = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Decisions with their reasons, newest first."""
    return page(
        api.read(queries.decisions, rule=rule, key=key, decision=decision, page=queries.PageRequest(cursor, limit))
    )


@router.get("/slots", response_model=Page[Slot])
def list_slots(api: Context, rule: str, key: Text = None, cursor: Text = None, limit: Limit = 50) -> Any:
    """Schedule slots of a rule, each with its outcome."""
    before = _slot_cursor(cursor) if cursor is not None else None
    found = api.read(queries.slots, rule, key=key, page=queries.PageRequest(before, limit))
    following = base64.urlsafe_b64encode(orjson.dumps(found.next)).decode() if found.next is not None else None
    return {"items": found.items, "next": following}


def _slot_cursor(text: str) -> tuple[float, str, str]:
    try:
        slot, key, trigger = orjson.loads(base64.urlsafe_b64decode(text))
        return float(slot), str(key), str(trigger)
    except (binascii.Error, ValueError, TypeError):
        raise Refusal(422, "cursor: not a cursor of this API") from None


@router.get("/dead-letters", response_model=Page[DeadLetter])
def list_dead_letters(
    api: Context, source: Text = None, reason: Text = None, cursor: Number = None, limit: Limit = 50
) -> Any:
    """Input that could not be processed, newest first."""
    return page(api.read(queries.dead_letters, source=source, reason=reason, page=queries.PageRequest(cursor, limit)))


@router.get("/dead-letters/{number}", response_model=DeadLetterDetail)
def show_dead_letter(api: Context, number: BigNumber) -> Any:
    """One dead letter with its payload."""
    found = api.read(queries.dead_letter, number)
    if found is None:
        raise Refusal(404, f"there is no dead letter {number}")
    raw: bytes = found["payload"]
    try:
        payload, encoding = raw.decode(), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(raw).decode(), "base64"
    return {**found, "size": len(raw), "payload": payload, "encoding": encoding}


@router.post("/dead-letters/replay", response_model=Replayed)
def replay_dead_letters(api: Context, ids: Ids) -> Any:
    """Process dead letters again; those that fail again are stored again."""
    with refusals():
        return long_commands.replay_dead_letters(api.act, ids.ids)


@router.post("/dead-letters/discard", response_model=Discarded)
def discard_dead_letters(api: Context, ids: Ids) -> Any:
    """Delete dead letters."""
    with refusals():
        return {"discarded": api.act(operator_commands.discard_dead_letters, ids.ids)}
