"""The stored state of a metric or alert trigger: each series relative to the threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Series:
    """One series. Times are epoch seconds.

    ``value`` is the last value (None if there never was one), taken at ``at``. ``live`` is false while the series has
    no data. ``since`` is when it crossed the threshold, if it has not come back; ``row`` counts the consecutive values
    that crossed. ``raised``: it was crossed for long enough, and has not cleared.
    """

    value: float | None
    at: float
    live: bool = True
    since: float | None = None
    row: int = 0
    raised: bool = False

    @property
    def idle(self) -> bool:
        """Whether forgetting the series would lose nothing."""
        return not self.raised and self.since is None


@dataclass(frozen=True, slots=True)
class ThresholdState:
    """All series of a trigger, by name.

    ``seen_at`` is when the first sample arrived. ``quiet``: a run that this trigger helped to start has answered it;
    ``answered_at`` is when that run ended, None while it is active. ``trouble`` says why there is no data, if known.
    """

    series: Mapping[str, Series] = field(default_factory=dict)
    seen_at: float | None = None
    quiet: bool = False
    answered_at: float | None = None
    trouble: str = ""


def threshold_to(gauge: ThresholdState) -> dict[str, Any]:
    """The threshold state as JSON-shaped data."""
    rows = {n: [s.value, s.at, s.live, s.since, s.row, s.raised] for n, s in gauge.series.items()}
    return {
        "series": rows,
        "seen_at": gauge.seen_at,
        "quiet": gauge.quiet,
        "answered_at": gauge.answered_at,
        "trouble": gauge.trouble,
    }


def threshold_from(raw: Mapping[str, Any]) -> ThresholdState:
    """Inverse of `threshold_to`. Fields of a newer release are ignored."""
    known = {name: value for name, value in raw.items() if name in _FIELDS}
    return ThresholdState(**{**known, "series": {name: Series(*row) for name, row in raw["series"].items()}})


_FIELDS = frozenset(ThresholdState.__slots__)
