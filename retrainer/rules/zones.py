"""Time zones as periods of constant offset from UTC, in which the wall clock simply advances.

Within a period there are neither gaps nor repetitions; both occur only between two periods. So daylight saving time
needs one comparison per period, instead of a check of each local time.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from retrainer.rules.zone_names import meant

if TYPE_CHECKING:
    from collections.abc import Iterator

_DAY = 86400
_CHUNK = 384 * _DAY
_LEAD = 4 * _DAY  # Longer than any change of offset: how far a chunk looks back to find the wall times before it.
_FIRST = -62_000_000_000  # year 5
_LAST = 253_000_000_000  # year 9987


class OffsetPeriod(NamedTuple):
    """The seconds ``start <= t < end`` since the epoch in which the wall clock shows ``t + offset``.

    ``seen`` is the latest time that the wall clock had shown up to ``start``. If it is less than ``start + offset``,
    the times between were skipped. If it is more, the times from ``start + offset`` up to it are repeated.
    """

    start: int
    end: int
    offset: int
    seen: int


def zone_of(name: str) -> ZoneInfo:
    """Return the zone. Raise ValueError, with suggestions, if there is no such IANA zone."""
    zone = find_zone(name)
    if zone is None:
        raise ValueError(f"unknown timezone {name[:100]!r}: {meant(name)}")
    return zone


def find_zone(name: str) -> ZoneInfo | None:
    """Return the zone, or None if there is no such IANA zone."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; not a valid key; a folder such as "Europe"
        return None


def onward(zone: ZoneInfo, instant: float, horizon: float) -> Iterator[OffsetPeriod]:
    """Yield the periods from the one that contains ``instant`` up to the one that contains ``horizon``, in order."""
    until = min(horizon, _LAST)
    for chunk in range(_chunk(instant), _chunk(until) + 1):
        for period in _stretches(zone, chunk):
            if period.end > instant and period.start <= until:
                yield period


def backward(zone: ZoneInfo, instant: float, horizon: float) -> Iterator[OffsetPeriod]:
    """Yield the periods from the one that contains ``instant`` back to the one that contains ``horizon``."""
    until = max(horizon, _FIRST)
    for chunk in range(_chunk(instant), _chunk(until) - 1, -1):
        for period in reversed(_stretches(zone, chunk)):
            if period.start <= instant and period.end > until:
                yield period


def _chunk(instant: float) -> int:
    return int(min(max(instant, _FIRST), _LAST) // _CHUNK)


@lru_cache(maxsize=4096)
def _stretches(zone: ZoneInfo, chunk: int) -> tuple[OffsetPeriod, ...]:
    """The periods of one chunk of time, split at each change of offset. This takes about 1 ms, so it is cached."""
    begin, end = chunk * _CHUNK, (chunk + 1) * _CHUNK
    edges = [begin - _LEAD, *_changes(zone, begin - _LEAD, end), end]
    found, seen = [], begin - _LEAD + _offset(zone, begin - _LEAD)
    for left, right in pairwise(edges):
        offset = _offset(zone, left)
        if left < begin:
            seen = max(seen, min(begin, right) + offset)
        if right > begin and right > left:
            found.append(OffsetPeriod(max(left, begin), right, offset, seen))
        seen = max(seen, right + offset)
    return tuple(found)


def _changes(zone: ZoneInfo, begin: int, end: int) -> list[int]:
    """Find the changes of offset by comparing days: since 1970 no zone has had two within a week."""
    found = []
    before = _offset(zone, begin)
    for day in range(begin, end, _DAY):
        after = _offset(zone, day + _DAY)
        if after != before:
            found.append(_change(zone, day, day + _DAY))
        before = after
    return found


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first second that has the offset of ``high``."""
    wanted = _offset(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle) == wanted:
            high = middle
        else:
            low = middle
    return high


def _offset(zone: ZoneInfo, instant: int) -> int:
    shift = datetime.fromtimestamp(instant, zone).utcoffset()
    return 0 if shift is None else round(shift.total_seconds())
