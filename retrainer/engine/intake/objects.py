"""Objects of a bucket that notifications and listings both tell of: each state of an object counts once.

The store keeps for each object its etag (or version, where there is no etag), the sequencer it came with, and whether
only a listing has told of it yet. So a notification that comes late for what a listing found is a duplicate, as is a
listing's find of what a notification brought meanwhile; the same content written again is told by a further
notification, and counts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.engine.intake.distincts import older
from retrainer.event import Event
from retrainer.sources.formats.s3 import about
from retrainer.store import statements
from retrainer.store.packing import unpack

if TYPE_CHECKING:
    from sqlalchemy import Row

    from retrainer.engine.core.transaction import Transaction
    from retrainer.sources.base import Batch

SLACK = 2.0
"""Seconds that a listing's and a notification's time of one and the same write may differ."""


class Now(NamedTuple):
    """How an object stands. ``swept``: only a listing has told of it."""

    fingerprint: str
    sequencer: str
    swept: bool


class Tracker:
    """Follows the objects of one batch through one transaction."""

    def __init__(self, tx: Transaction, batch: Batch) -> None:
        self._work, self._batch = tx, batch
        keys = [_name(item) for item in batch.items if isinstance(item, Event)]
        known = statements.objects_now(tx.conn, batch.source, keys)
        self._known: dict[str, Now | None] = {key: Now(*now) for key, now in known.items()}
        self._changed: dict[str, tuple[str, str, bool] | None] = {}

    def counted(self, event: Event) -> bool:
        """Whether this state of the object was counted before; if not, it is from now on."""
        name = _name(event)
        known = self._known.get(name)
        fingerprint = str(event.data.get("etag") or event.data.get("version") or "")
        sequencer = str(event.data.get("sequencer") or "")
        if known is not None and known.sequencer and older(sequencer, known.sequencer):
            return self._found_before(event)  # out of order: if it counts, it still is not how the object stands
        if event.type.startswith("s3:ObjectRemoved"):
            self._set(name, None)
            return False
        same = known is not None and known.fingerprint == fingerprint
        if self._batch.swept:
            return same or self._found(event, fingerprint)
        self._set(name, Now(fingerprint, sequencer, swept=False))
        return same and known is not None and known.swept

    def _found(self, event: Event, fingerprint: str) -> bool:
        """A listing shows other content than what came last: if that was told of before, it came in another order."""
        emitted = any(
            row.time >= event.time - SLACK and not row.type.endswith(":Sweep") for row in self._said_of_content(event)
        )
        self._set(_name(event), Now(fingerprint, "", swept=not emitted))
        return emitted

    def _found_before(self, event: Event) -> bool:
        """Whether a listing found what is told of so late that the object has been overwritten since."""
        said = self._said_of_content(event)
        return any(row.type.endswith(":Sweep") and abs(row.time - event.time) <= SLACK for row in said)

    def _said_of_content(self, event: Event) -> list[Row[Any]]:
        """What the ledger has of this content in this place: `type`, `time`."""
        self._work.flush_inputs()
        data = event.data
        rows = statements.said_of_object(self._work.conn, event.source, about(data["bucket"], data["key"]))
        created = (row for row in rows if row.type.startswith("s3:ObjectCreated"))
        return [row for row in created if unpack(row.data).get("etag") == data.get("etag")]

    def store(self) -> None:
        statements.track(self._work.conn, self._batch.source, self._changed, self._work.now)

    def _set(self, name: str, now: Now | None) -> None:
        self._known[name] = self._changed[name] = now


def tells_of_object(event: Event) -> bool:
    """Whether it names an object of a bucket; anybody can send events of a type that begins with `s3:`."""
    named = isinstance(event.data.get("bucket"), str) and isinstance(event.data.get("key"), str)
    return named and event.type.startswith("s3:")


def _name(event: Event) -> str:
    return f"{event.data.get('bucket')}/{event.data.get('key')}"
