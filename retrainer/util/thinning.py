"""Thin a line to a bounded number of points, without losing its peaks."""

from __future__ import annotations

from typing import TypeAlias

Point: TypeAlias = "tuple[float, float | None]"
"""Time in epoch seconds, and value; None where there is no value."""

_Placed: TypeAlias = "tuple[float, int, float | None]"

MOST_POINTS = 500
"""Points of a thinned line."""
_PER_BUCKET = 3
_BUCKETS = (MOST_POINTS - 2) // _PER_BUCKET


class Thinned:
    """A line from ``since`` to ``until``, in equal buckets of time.

    Of each bucket, it keeps the lowest and the highest point, and the first gap; of the line, the first and the last
    point, too. Up to `MOST_POINTS` points are all kept. ``backwards``: of points with one time, those added later come
    first.
    """

    def __init__(self, since: float, until: float, *, backwards: bool = False) -> None:
        self._since = since
        self._width = max(until - since, 1e-9) / _BUCKETS
        self._order = -1 if backwards else 1
        self._all: list[_Placed] = []
        self._kept: dict[int, dict[str, _Placed]] = {}
        self._ends: tuple[_Placed, _Placed] | None = None
        self.count = 0
        """Points that were added."""

    def add(self, at: float, value: float | None) -> None:
        """Add a point; the order matters only among points with one time."""
        self.count += 1
        point = at, self._order * self.count, value
        if self.count <= MOST_POINTS:
            self._all.append(point)
        first, last = self._ends or (point, point)
        self._ends = min(first, point, key=_place), max(last, point, key=_place)
        bucket = self._kept.setdefault(min(max(int((at - self._since) / self._width), 0), _BUCKETS - 1), {})
        if value is None:
            bucket.setdefault("gap", point)
            return
        for end, sign in (("low", -1), ("high", 1)):
            kept = bucket.get(end)
            if kept is None or sign * value > sign * (kept[2] or 0.0):
                bucket[end] = point

    def points(self) -> list[Point]:
        """Return the points in order of time."""
        kept = set(self._all)
        if self.count > MOST_POINTS:
            kept = {point for bucket in self._kept.values() for point in bucket.values()}.union(self._ends or ())
        return [(at, value) for at, _, value in sorted(kept, key=_place)]


def _place(point: _Placed) -> tuple[float, int]:
    return point[:2]
