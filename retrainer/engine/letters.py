"""Dead letters: what could not be taken in, with the reason, for somebody to look at and to play back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import orjson
from sqlalchemy import delete, func, select

from retrainer.error_text import words
from retrainer.event import Event, Poison, split_attributes
from retrainer.store import tables as t
from retrainer.store.rows import dump
from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from retrainer.engine.staged import Staged
    from retrainer.engine.work import Work

LONGEST_ID = 300
MOST_BYTES = 1 << 20


def dead(work: Work, event: Event, reason: str, error: str, rule: str = "") -> None:
    """Keep an event that could be read, but not taken: for many rules, perhaps, and then written out once."""
    if work.written_out is None or work.written_out[0] is not event:
        work.written_out = event, dump(shown(event)).encode()
    dead_letter(work, event.source, event.id, reason, error, work.written_out[1], rule)


class OfARule(Protocol):
    """A trigger, compiled."""

    @property
    def rule(self) -> str: ...


class Refusals:
    """Dead letters of one event, for each rule that could not take it; ``failed`` tells whether there was any.

    Nothing is kept without ``tell``: the event has been here before.
    """

    def __init__(self, work: Work, event: Event, *, tell: bool) -> None:
        self.failed = False
        self._work, self._event, self._tell = work, event, tell

    def raised(self, trigger: OfARule, error: Exception) -> None:
        """None of what a trigger says by itself: a mistake of ours."""
        self._fail(trigger, "raised", words(error))

    def _fail(self, trigger: OfARule, reason: str, error: str) -> None:
        self.failed = True
        if self._tell:
            dead(self._work, self._event, reason, error, trigger.rule)

    def _too_many_keys(self, trigger: OfARule, key: str) -> None:
        self._fail(trigger, "too_many_keys", f"key {key!r} is one more than max_keys")


def shown(event: Event) -> dict[str, Any]:
    """What a dead letter keeps of an event; `letter_event` is the inverse."""
    return {
        "type": event.type,
        "time": event.time,
        "subject": event.subject,
        "data": event.data,
        "attributes": event.shown_attributes(),
    }


def letter_event(source: str, identity: str, payload: bytes) -> Event:
    """The event of a dead letter that could be read."""
    told = orjson.loads(payload)
    attributes, record = split_attributes(told["attributes"])
    return Event(source=source, id=identity, **{**told, "attributes": attributes, "record": record})


def unbearable(work: Work, item: Event | Poison, error: str) -> None:
    """Keep what no part of the engine could bear, in a form that any store takes. Nobody can play it back."""
    payload = item.payload if isinstance(item, Poison) else repr(item).encode(errors="backslashreplace")
    name = "".join(c if c.isprintable() else "?" for c in item.id[:LONGEST_ID].encode(errors="replace").decode())
    dead_letter(work, item.source, name, "unreadable", error, payload[:MOST_BYTES])


def dead_letter(work: Work, source: str, event: str, reason: str, error: str, payload: bytes, rule: str = "") -> None:
    error = SECRETS.mask(error).replace("\0", "\\0")
    work.rows["dead_letters"].append(
        {
            "at": work.now,
            "source": source,
            "event": event,
            "reason": reason,
            "error": error,
            "payload": payload,
            "rule": rule,
            "size": len(payload),
        }
    )
    work.tell("dead_letter", source=source, event=event, reason=reason, error=error, rule=rule)


def keep_within(work: Staged, most: int) -> None:
    """Drop the oldest dead letters, also such as have just come, until all together take up ``most`` bytes."""
    c = t.dead_letters.c
    excess = int(work.conn.execute(select(func.sum(c.size))).scalar() or 0) - most
    dropped = 0
    while excess > 0 and (oldest := work.conn.execute(_OLDEST).all()):
        last = None
        for row in oldest:
            last, excess, dropped = row.id, excess - (row.size or 0), dropped + 1
            if excess <= 0:
                break
        work.conn.execute(delete(t.dead_letters).where(c.id <= last))
    if dropped:
        work.tell("dead_letters.dropped", count=dropped)


_OLDEST = select(t.dead_letters.c.id, t.dead_letters.c.size).order_by(t.dead_letters.c.id).limit(500)
"""By the index of both alone: payloads are not read."""
