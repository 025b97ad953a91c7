"""Unreadable bodies are kept as dead letters, but not at any rate: they cost a sender little, the store much."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.event import Poison

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.sources.formats.registry import Items

WINDOW = 60.0
"""Seconds: one and the same body is kept once in that time."""
MOST_BYTES = 16 << 20
"""Bytes of a source that are kept in that time; of what comes beyond, the beginning."""
BEGINNING = 1024
MOST_KNOWN = 4096


class Letterbox:
    """``left_out`` is told a source and how many of its dead letters another one stands for. Times are seconds."""

    def __init__(self, left_out: Callable[[str, int], None]) -> None:
        self._left_out = left_out
        self._known: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._kept: dict[str, tuple[float, int]] = {}

    def fit(self, source: str, items: Items, now: float) -> Items:
        """Take out what was kept a moment ago, cut what is too much. What is under way meanwhile is not counted."""
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
        """Remember what is durable by now, and only that."""
        for item in items:
            if isinstance(item, Poison) and item.kept:
                since, kept = self._this_minute(source, now)
                self._kept[source] = (since, kept + len(item.payload))
                self._known[source, item.id] = now
                self._known.move_to_end((source, item.id))
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)

    def _this_minute(self, source: str, now: float) -> tuple[float, int]:
        """Since when bytes of a source are counted, and how many."""
        since, kept = self._kept.get(source, (now, 0))
        return (since, kept) if now - since < WINDOW else (now, 0)
