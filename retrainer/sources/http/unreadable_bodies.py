"""Limits the dead letters for unreadable bodies, which cost a sender little and the store much."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.event import Poison

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.sources.formats.registry import Items

WINDOW = 60.0
"""Seconds in which identical bodies are stored once."""
MOST_BYTES = 16 << 20
"""Bytes per source that are stored in that time; of further bodies only the beginning is stored."""
BEGINNING = 1024
MOST_KNOWN = 4096


class Letterbox:
    """``left_out`` is called with a source and the number of dead letters that another one represents."""

    def __init__(self, left_out: Callable[[str, int], None]) -> None:
        self._left_out = left_out
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._kept: dict[str, tuple[float, int]] = {}

    def fit(self, source: str, items: Items, now: float) -> Items:
        """Drop bodies that were stored a moment ago, and cut what is too much. Bodies in flight are not counted."""
        if not any(isinstance(item, Poison) for item in items):
            return items
        fitted = tuple(self._fit(source, item, now) if isinstance(item, Poison) else item for item in items)
        if left_out := sum(isinstance(item, Poison) and not item.kept for item in fitted):
            self._left_out(source, left_out)
        return fitted

    def _fit(self, source: str, item: Poison, now: float) -> Poison:
        if not item.kept or now - self._known.get((source, item.id), -WINDOW) < WINDOW:
            return replace(item, kept=False, payload=b"")
        _, kept = self._this_minute(source, now)
        if kept + len(item.payload) > MOST_BYTES and len(item.payload) > BEGINNING:
            cut = f"the first {BEGINNING} of {len(item.payload)} bytes, as {MOST_BYTES >> 20} MiB were kept this minute"
            item = replace(item, payload=item.payload[:BEGINNING], error=f"{item.error} ({cut})")
        return item

    def stored(self, source: str, items: Items, now: float) -> None:
        """Remember the items that are now durable."""
        for item in items:
            if isinstance(item, Poison) and item.kept:
                since, kept = self._this_minute(source, now)
                self._kept[source] = (since, kept + len(item.payload))
                self._known[source, item.id] = now
                self._known.move_to_end((source, item.id))
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _this_minute(self, source: str, now: float) -> tuple[float, int]:
        """Return since when the bytes of a source are counted, and their number."""
        since, kept = self._kept.get(source, (now, 0))
        return (since, kept) if now - since < WINDOW else (now, 0)
