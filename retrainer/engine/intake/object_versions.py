"""De-duplicate bucket objects that both notifications and listings report: each version of an object counts once.

The store keeps for each object its etag (or its version, if there is no etag), its sequencer, and whether only a
listing has reported it so far. A late notification of an object that a listing found is therefore a duplicate, and so
is a listing's report of an object that a notification reported meanwhile. If the same content is written again, a new
notification reports it, and it counts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.engine.intake.distinct_by import older
from retrainer.event import Event
from retrainer.sources.formats.s3 import about
from retrainer.store import event_statements
from retrainer.store.packing import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row

    from retrainer.engine.core.transaction import Transaction
    from retrainer.sources.base import Batch

SLACK = 2.0
"""Maximum difference in seconds between the times of one write in a listing and in a notification."""


class Now(NamedTuple):
    """The stored state of an object. ``swept``: only a listing has reported it."""

    fingerprint: str
    sequencer: str
    swept: bool


class Tracker:
    """Tracks the objects of one batch in one transaction."""

    def __init__(self, tx: Transaction, batch: Batch) -> None:
        self._tx, self._batch = tx, batch
        names = [_name(item) for item in batch.items if isinstance(item, Event)]
        known = event_statements.objects_now(tx.conn, batch.source, names)
        self._known: dict[str, Now | None] = {name: Now(*now) for name, now in known.items()}
        self._changed: dict[str, tuple[str, str, bool] | None] = {}

    def counted(self, event: Event) -> bool:
        """Whether this version of the object was counted before. If not, record it as counted."""
        name = _name(event)
        known = self._known.get(name)
        fingerprint = str(event.data.get("etag") or event.data.get("version") or "")
        sequencer = str(event.data.get("sequencer") or "")
        if known is not None and known.sequencer and older(sequencer, known.sequencer):
            return self._found_before(event)  # out of order: it may count, but the stored state is newer
        if event.type.startswith("s3:ObjectRemoved"):
            self._set(name, None)
            return False
        same = known is not None and known.fingerprint == fingerprint
        if self._batch.swept:
            return same or self._found(event, fingerprint)
        self._set(name, Now(fingerprint, sequencer, swept=False))
        return same and known is not None and known.swept

    def _found(self, event: Event, fingerprint: str) -> bool:
        """A listing shows content other than the last known. Return whether a notification reported it before."""
        notified = any(
            row.time >= event.time - SLACK and not row.type.endswith(":Sweep") for row in self._created(event)
        )
        self._set(_name(event), Now(fingerprint, "", swept=not notified))
        return notified

    def _found_before(self, event: Event) -> bool:
        """Whether a listing found this content before a late notification; the object was overwritten since."""
        listed = (row for row in self._created(event) if row.type.endswith(":Sweep"))
        return any(abs(row.time - event.time) <= SLACK for row in listed)

    def _created(self, event: Event) -> list[Row[Any]]:
        return [row for row in rows_of_object(self._tx, event) if row.type.startswith("s3:ObjectCreated")]

    def store(self) -> None:
        event_statements.track(self._tx.conn, self._batch.source, self._changed, self._tx.now)

    def _set(self, name: str, now: Now | None) -> None:
        self._known[name] = self._changed[name] = now


def rows_of_object(tx: Transaction, event: Event) -> list[Row[Any]]:
    """Return the ledger rows of the same content of the same object, with `type`, `time`, `rules` and `attributes`."""
    tx.writes.flush_inputs()
    data = event.data
    rows = event_statements.said_of_object(tx.conn, event.source, about(data["bucket"], data["key"]))
    return [row for row in rows if _same(unpack(row.data), data)]


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are the same content of the same object. The query may return objects with similar ids."""
    return all(one.get(name) == other.get(name) for name in ("bucket", "key", "etag"))


def tells_of_object(event: Event) -> bool:
    """Whether the event names a bucket object. Its type alone proves nothing: any client can send `s3:` types."""
    named = isinstance(event.data.get("bucket"), str) and isinstance(event.data.get("key"), str)
    return named and event.type.startswith("s3:")


def _name(event: Event) -> str:
    return f"{event.data.get('bucket')}/{event.data.get('key')}"
