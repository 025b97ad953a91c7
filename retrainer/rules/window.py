"""The window of a trigger: data that has arrived and is not consumed yet; and its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_ITEMS: dict[str, Any] = {}


FULL = 2**63 - 1
"""Cap for sums of bytes or rows: the largest integer of the store."""
Counted = tuple[int, int, int]
"""Events, bytes and rows."""


@dataclass(frozen=True, slots=True)
class Window:
    """Data that has arrived and that no run has taken.

    ``first_at`` and ``last_at`` are arrival times, ``start`` and ``end`` event times, all in epoch seconds.
    ``first_key`` and ``last_key`` are the labels of the first and last arrival. ``ranges`` are inclusive ranges of
    ``seq``. ``fresh`` is false while the window holds only what a run returned. ``parts`` has the first and last offset
    of each partition, both inclusive, for a source with offsets (Kafka).
    """

    events: int = 0
    bytes: int = 0
    rows: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    start: float = 0.0
    end: float = 0.0
    first_key: str = ""
    last_key: str = ""
    ranges: tuple[tuple[int, int], ...] = ()
    fresh: bool = True
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, came: Window, taken_hi: int) -> Window:
        """Add events that have just arrived, which have one range.

        The last range is extended only if no run has taken events after it (``taken_hi``).
        """
        if not self.events:
            return replace(came, parts=join_parts(self.parts, came.parts)) if self.parts else came
        ((first, last),) = came.ranges
        lo, hi = self.ranges[-1]
        ranges = (*self.ranges[:-1], (lo, last)) if hi >= taken_hi else (*self.ranges, (first, last))
        return self.joined(came, ranges)

    def give_back(self, returned: Window, now: float, taken_hi: int) -> Window:
        """Add what a run returned. An empty window restarts `max_wait` at ``now``: the run answered the last one."""
        if not returned.events:
            return self
        if not self.events:
            return replace(returned, first_at=now, last_at=now, fresh=False)
        ranges = _coalesce(sorted((*returned.ranges, *self.ranges)), taken_hi)
        return replace(returned, first_at=self.first_at).joined(self, ranges)

    def joined(self, later: Window, ranges: tuple[tuple[int, int], ...]) -> Window:
        """Return this window together with another one, which arrived later."""
        return Window(
            self.events + later.events,
            min(self.bytes + later.bytes, FULL),
            min(self.rows + later.rows, FULL),
            self.first_at,
            later.last_at,
            min(self.start, later.start),
            max(self.end, later.end),
            self.first_key,
            later.last_key,
            ranges,
            later.fresh,
            join_parts(self.parts, later.parts) if later.parts else self.parts,
        )

    def less(self, overlap: Counted) -> Window:
        """Return the window without ``overlap``, which is now counted elsewhere."""
        events, size, rows = overlap
        return replace(self, events=self.events - events, bytes=self.bytes - size, rows=self.rows - rows)


NOTHING = Window()
"""The empty window."""


def join_parts(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    joined = dict(one)
    for part, (lo, hi) in other.items():
        before = joined.get(part)
        joined[part] = (lo, hi) if before is None else (min(lo, before[0]), max(hi, before[1]))
    return joined


def _coalesce(ranges: Sequence[tuple[int, int]], taken_hi: int) -> tuple[tuple[int, int], ...]:
    """Join each range to the previous one if no run has taken events after the previous one (``taken_hi``)."""
    out: list[tuple[int, int]] = []
    for lo, hi in ranges:
        if out and out[-1][1] >= taken_hi:
            out[-1] = (out[-1][0], hi)
        else:
            out.append((lo, hi))
    return tuple(out)


_OF_WINDOWS = frozenset(Window.__slots__)


def window_to(window: Window) -> dict[str, Any]:
    """Return the window as JSON-shaped data."""
    return {name: getattr(window, name) for name in Window.__slots__}


def window_from(raw: Mapping[str, Any]) -> Window:
    """Inverse of `window_to`."""
    return Window(
        **{
            **{name: value for name, value in raw.items() if name in _OF_WINDOWS},
            "ranges": tuple((lo, hi) for lo, hi in raw["ranges"]),
            "parts": {part: (lo, hi) for part, (lo, hi) in raw.get("parts", NO_ITEMS).items()},
        }
    )
