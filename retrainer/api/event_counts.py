"""How many events arrived when, by outcome. Counted in short reads, newest first, and kept in memory.

The ledger has no index for it: one would make each event dearer to store. A million events are counted once, and then
only those that are new. Until then, an answer says from when on it is complete.
"""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.store import density, search
from retrainer.store.density import CELL

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.store.base import Store
    from retrainer.store.scope import Scope

SECONDS = 0.06
"""Seconds that one request counts."""
READ_SECONDS = 0.008
"""Seconds that one read is to take, as the engine waits for it."""
FEWEST, MOST = 100, 20_000
"""Length of the range of `seq` of one read."""
MOST_BEHIND = 200_000
"""With more new events than this, counting starts again from the newest one."""
BUCKETS = 120
HOUR = 3600
"""Seconds of the cells that are added up for buckets of hours: there are fewer of them."""


@dataclass(frozen=True, slots=True)
class DensityQuery:
    """A period in epoch seconds; ``source``: of this source only; ``scope``: what the caller sees."""

    since: float
    until: float
    source: str | None
    scope: Scope

    def wants(self, source: str) -> bool:
        return self.scope.has_source(source) and self.source in (None, source)


class EventCounts:
    """``monotonic`` returns seconds of a monotonic clock. All threads of the API share the counts."""

    def __init__(self, store: Store, monotonic: Callable[[], float]) -> None:
        self._store, self._monotonic = store, monotonic
        self._lock = threading.Lock()
        self._cells: Counter[tuple[int, str, str]] = Counter()
        self._hours: Counter[tuple[int, str, str]] = Counter()
        self._first = self._end = 0
        """The range of `seq` that is counted, without its end."""
        self._length = FEWEST
        self._oldest = 0

    def answer(self, query: DensityQuery) -> dict[str, Any]:
        """Return the buckets of a period that have events. Count for `SECONDS` at most."""
        share = (query.until - query.since) / BUCKETS
        unit = CELL if share <= HOUR else HOUR
        width = unit * max(1, math.ceil(share / unit))
        since, until = math.floor(query.since / width) * width, math.ceil(query.until / width) * width
        first = self._store.read(partial(search.number_at, moment=since))
        complete = self._count(first)
        with self._lock:
            counted = [
                one
                for one in (self._cells if unit == CELL else self._hours).items()
                if since <= one[0][0] * unit < until and query.wants(one[0][1])
            ]
        buckets: dict[int, Counter[str]] = {}
        for (begin, _, outcome), number in counted:
            buckets.setdefault(begin * unit // width * width, Counter())[outcome] += number
        return {
            "since": since,
            "until": until,
            "seconds": width,
            "complete": complete,
            "buckets": [{"at": at, **buckets[at]} for at in sorted(buckets)],
            "total": sum(buckets.values(), Counter()),
        }

    def _count(self, first: int) -> bool:
        """Count the events from ``first`` on, newest first. Return whether all are counted."""
        ends = self._store.read(density.ends)
        if ends is None:
            return True
        first, newest = max(first, ends[0]), ends[2]
        with self._lock:
            self._forget(ends[1], newest)
        began = self._monotonic()
        while self._monotonic() - began < SECONDS:
            with self._lock:
                if self._first <= first and self._end > newest:
                    return True
                self._read(first, newest)
        return False

    def _forget(self, oldest: float, newest: int) -> None:
        """Drop what was pruned since, or all that is too far behind."""
        if not self._end or newest - self._end >= MOST_BEHIND:
            self._cells.clear()
            self._hours.clear()
            self._first = self._end = newest + 1
        if (cell := int(oldest // CELL)) > self._oldest:
            self._oldest = cell
            self._cells = Counter({key: number for key, number in self._cells.items() if key[0] >= cell})
            self._hours.clear()
            for (begin, source, outcome), number in self._cells.items():
                self._hours[begin * CELL // HOUR, source, outcome] += number

    def _read(self, first: int, newest: int) -> None:
        """Count one range: of the new events, or else of those before the counted ones."""
        ahead = self._end <= newest
        begin = self._end if ahead else max(first, self._first - self._length)
        last = min(newest, begin + self._length - 1) if ahead else self._first - 1
        began = self._monotonic()
        for cell in self._store.read(partial(density.cells, first=begin, last=last)):
            self._cells[cell.begin, cell.source, cell.outcome] += cell.number
            self._hours[cell.begin * CELL // HOUR, cell.source, cell.outcome] += cell.number
        took = self._monotonic() - began
        self._length = max(FEWEST, min(MOST, int(self._length * min(2.0, READ_SECONDS / max(took, 1e-6)))))
        if ahead:
            self._end = last + 1
        else:
            self._first = begin
