"""What is remembered of a metric or alert trigger: how each of its series stands against the threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Series:
    """One series. Moments are epoch seconds.

    ``value`` is the last one (None if there never was one), taken at ``at``; ``live`` is false while it has no data.
    ``since`` is when it crossed the threshold and has stayed there, ``row`` counts the values in a row that did.
    ``raised``: it did so for long enough, and has not come back.
    """

    value: float | None
    at: float
    live: bool = True
    since: float | None = None
    row: int = 0
    raised: bool = False

    @property
    def idle(self) -> bool:
        """Nothing would be lost if it were forgotten."""
        return not self.raised and self.since is None


@dataclass(frozen=True, slots=True)
class ThresholdState:
    """All series of a trigger, by name.

    ``seen_at`` is when it first had a sample. ``quiet``: a run that it helped to start was its answer; ``answered_at``
    is when that run ended, None while it is on its way. ``trouble`` says why there is no data, if the source knows.
    """

    series: Mapping[str, Series] = field(default_factory=dict)
    seen_at: float | None = None
    quiet: bool = False
    answered_at: float | None = None
    trouble: str = ""


def threshold_to(gauge: ThresholdState) -> dict[str, Any]:
    """A gauge, JSON-shaped."""
    rows = {n: [s.value, s.at, s.live, s.since, s.row, s.raised] for n, s in gauge.series.items()}
    return {
        "series": rows,
        "seen_at": gauge.seen_at,
        "quiet": gauge.quiet,
        "answered_at": gauge.answered_at,
        "trouble": gauge.trouble,
    }


def threshold_from(raw: Mapping[str, Any]) -> ThresholdState:
    """Inverse of `gauge_to`; what only a newer release remembers is left out."""
    known = {name: value for name, value in raw.items() if name in _FIELDS}
    return ThresholdState(**{**known, "series": {name: Series(*row) for name, row in raw["series"].items()}})


_FIELDS = frozenset(ThresholdState.__slots__)
