"""Objects of a bucket that notifications and listings both tell of: each state of an object counts once.

The store keeps for each object its etag (or version, where there is no etag), the sequencer it came with, and whether
only a listing has told of it yet. So a notification that comes late for what a listing found is a duplicate, as is a
listing's find of what a notification brought meanwhile; the same content written again is told by a further
notification, and counts again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retrainer.engine.distincts import older
from retrainer.event import Event
from retrainer.store import writes

if TYPE_CHECKING:
    from retrainer.engine.work import Work
    from retrainer.sources.base import Batch


class Now(NamedTuple):
    """How an object stands. ``swept``: only a listing has told of it."""

    fingerprint: str
    sequencer: str
    swept: bool


class Tracker:
    """Follows the objects of one batch through one transaction."""

    def __init__(self, work: Work, batch: Batch) -> None:
        self._work, self._batch = work, batch
        keys = [_name(item) for item in batch.items if isinstance(item, Event)]
        known = writes.objects_now(work.conn, batch.source, keys)
        self._known: dict[str, Now | None] = {key: Now(*now) for key, now in known.items()}
        self._changed: dict[str, tuple[str, str, bool] | None] = {}

    def counted(self, event: Event) -> bool:
        """Whether this state of the object was counted before; if not, it is from now on."""
        name = _name(event)
        known = self._known.get(name)
        fingerprint = str(event.data.get("etag") or event.data.get("version") or "")
        sequencer = str(event.data.get("sequencer") or "")
        if known is not None and known.sequencer and older(sequencer, known.sequencer):
            return False  # told out of order: it counts, but it is not how the object stands
        if event.type.startswith("s3:ObjectRemoved"):
            self._set(name, None)
            return False
        same = known is not None and known.fingerprint == fingerprint
        duplicate = same and (self._batch.swept or (known is not None and known.swept))
        if not (duplicate and self._batch.swept):
            self._set(name, Now(fingerprint, sequencer, self._batch.swept))
        return duplicate

    def store(self) -> None:
        writes.track(self._work.conn, self._batch.source, self._changed)

    def _set(self, name: str, now: Now | None) -> None:
        self._known[name] = self._changed[name] = now


def _name(event: Event) -> str:
    return f"{event.data.get('bucket')}/{event.data.get('key')}"
