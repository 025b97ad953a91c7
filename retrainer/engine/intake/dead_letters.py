"""Dead letters: input that could not be processed, stored with the reason for inspection and replay."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from retrainer.engine.core.notifications import EventDeadLettered
from retrainer.event import Event, Poison, split_attributes
from retrainer.store.rows import dump
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction

LONGEST_ID = 300
MOST_BYTES = 1 << 20


def dead(tx: Transaction, event: Event, reason: str, error: str, rule: str = "") -> None:
    """Store a readable event that a rule could not process. The payload is serialized once for all rules."""
    if tx.writes.written_out is None or tx.writes.written_out[0] is not event:
        tx.writes.written_out = event, dump(shown(event)).encode()
    dead_letter(tx, EventDeadLettered(event.source, event.id, reason, error, rule), tx.writes.written_out[1])


class OfARule(Protocol):
    """A compiled trigger of a rule."""

    @property
    def rule(self) -> str: ...


class Refusals:
    """Writes the dead letters of one event, one for each rule that failed on it. ``failed``: at least one rule failed.

    With ``emit=False`` no dead letter is written: the event was processed before.
    """

    def __init__(self, tx: Transaction, event: Event, *, emit: bool) -> None:
        self.failed = False
        self._tx, self._event, self._emit = tx, event, emit

    def raised(self, trigger: OfARule, error: Exception) -> None:
        """Handle an unexpected exception: a defect in retrainer, not an error that the trigger reports."""
        self._fail(trigger, "raised", words(error))

    def _fail(self, trigger: OfARule, reason: str, error: str) -> None:
        self.failed = True
        if self._emit:
            dead(self._tx, self._event, reason, error, trigger.rule)

    def _too_many_keys(self, trigger: OfARule, key: str) -> None:
        self._fail(trigger, "too_many_keys", f"key {key!r} would exceed max_keys")


def shown(event: Event) -> dict[str, Any]:
    """Return the fields of an event that a dead letter stores. `letter_event` is the inverse."""
    return {
        "type": event.type,
        "time": event.time,
        "subject": event.subject,
        "data": event.data,
        "attributes": event.shown_attributes(),
    }


def letter_event(source: str, identity: str, payload: bytes) -> Event:
    """Return the event of a dead letter whose payload was written by `dead`."""
    stored = orjson.loads(payload)
    attributes, record = split_attributes(stored["attributes"])
    return Event(source=source, id=identity, **{**stored, "attributes": attributes, "record": record})


def unbearable(tx: Transaction, item: Event | Poison, error: str) -> None:
    """Store an item that the engine could not process at all, in a form that any store accepts. No replay."""
    payload = item.payload if isinstance(item, Poison) else repr(item).encode(errors="backslashreplace")
    name = "".join(c if c.isprintable() else "?" for c in item.id[:LONGEST_ID].encode(errors="replace").decode())
    dead_letter(tx, EventDeadLettered(item.source, name, "unreadable", error), payload[:MOST_BYTES])


def dead_letter(tx: Transaction, letter: EventDeadLettered, payload: bytes) -> None:
    """Store a dead letter, with secrets in its error masked."""
    letter = replace(letter, error=SECRETS.mask(letter.error).replace("\0", "\\0"))
    row = {"at": tx.now, **asdict(letter), "payload": payload, "size": len(payload)}
    tx.writes.rows["dead_letters"].append(row)
    tx.writes.emit(letter)
