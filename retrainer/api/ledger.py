"""The record of events, decisions, schedule slots and dead letters."""

import base64
import binascii
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from retrainer.api import views
from retrainer.api.parameters import BigNumber, Limit, Number, ServiceArgument, Text, page, refusals
from retrainer.api.problems import not_found
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries
from retrainer.store.search import EventQuery

router = APIRouter(tags=["ledger"])


class Ids(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Annotated[int, Field(ge=0, le=2**63 - 1)]], Field(min_length=1, max_length=500)]


@router.get("/events", response_model=views.Page[views.Event])
def list_events(
    service: ServiceArgument,
    source: Text = None,
    outcome: Literal["matched", "filtered", "ignored"] | None = None,
    rule: Text = None,
    key: Text = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Accepted events, newest first; with `rule` (and `key`) those it matched."""
    return page(
        service.read(
            lambda conn: queries.events(
                conn, source=source, outcome=outcome, rule=rule, key=key, page=queries.PageRequest(cursor, limit)
            )
        )
    )


@router.get("/events/find", response_model=views.Page[views.Found])
def find_events(
    service: ServiceArgument,
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
    return page(service.find_events(EventQuery(text, source, cursor, began, ended, limit)))


@router.get("/events/{seq}", response_model=views.Event)
def show_event(service: ServiceArgument, seq: BigNumber) -> Any:
    """One event."""
    found = service.read(lambda conn: queries.event(conn, seq))
    if found is None:
        raise not_found(f"there is no event {seq}, or it was pruned")
    return found


@router.get("/decisions", response_model=views.Page[views.Decision])
def list_decisions(
    service: ServiceArgument,
    rule: Text = None,
    key: Text = None,
    decision: Literal["fire", "hold", "skip"] | None = None,
    cursor: Number = None,
    limit: Limit = 50,
) -> Any:
    """Decisions with their reasons, newest first."""
    return page(
        service.read(
            lambda conn: queries.decisions(
                conn, rule=rule, key=key, decision=decision, page=queries.PageRequest(cursor, limit)
            )
        )
    )


@router.get("/slots", response_model=views.Page[views.Slot])
def list_slots(service: ServiceArgument, rule: str, key: Text = None, cursor: Text = None, limit: Limit = 50) -> Any:
    """Schedule slots of a rule, each with its outcome."""
    before = _slot_cursor(cursor) if cursor is not None else None
    found = service.read(lambda conn: queries.slots(conn, rule, key=key, page=queries.PageRequest(before, limit)))
    following = base64.urlsafe_b64encode(orjson.dumps(found.next)).decode() if found.next is not None else None
    return {"items": found.items, "next": following}


def _slot_cursor(text: str) -> tuple[float, str, str]:
    try:
        slot, key, trigger = orjson.loads(base64.urlsafe_b64decode(text))
        return float(slot), str(key), str(trigger)
    except (binascii.Error, ValueError, TypeError):
        raise Refusal(422, "cursor: not a cursor of this API") from None


@router.get("/dead-letters", response_model=views.Page[views.DeadLetter])
def list_dead_letters(
    service: ServiceArgument, source: Text = None, reason: Text = None, cursor: Number = None, limit: Limit = 50
) -> Any:
    """Input that could not be processed, newest first."""
    return page(
        service.read(
            lambda conn: queries.dead_letters(
                conn, source=source, reason=reason, page=queries.PageRequest(cursor, limit)
            )
        )
    )


@router.get("/dead-letters/{number}", response_model=views.DeadLetterDetail)
def show_dead_letter(service: ServiceArgument, number: BigNumber) -> Any:
    """One dead letter with its payload."""
    found = service.read(lambda conn: queries.dead_letter(conn, number))
    if found is None:
        raise not_found(f"there is no dead letter {number}")
    raw: bytes = found["payload"]
    try:
        payload, encoding = raw.decode(), "utf-8"
    except UnicodeDecodeError:
        payload, encoding = base64.b64encode(raw).decode(), "base64"
    return {**found, "size": len(raw), "payload": payload, "encoding": encoding}


@router.post("/dead-letters/replay", response_model=views.Replayed)
def replay_dead_letters(service: ServiceArgument, ids: Ids) -> Any:
    """Process dead letters again; those that fail again are stored again."""
    with refusals():
        return service.replay_dead_letters(ids.ids)


@router.post("/dead-letters/discard", response_model=views.Discarded)
def discard_dead_letters(service: ServiceArgument, ids: Ids) -> Any:
    """Delete dead letters."""
    with refusals():
        return {"discarded": service.discard_dead_letters(ids.ids)}
