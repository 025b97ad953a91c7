"""A measured figure with its goal and its method."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Figure:
    """``detail`` has additional values, such as other percentiles and each repetition."""

    name: str
    value: float
    unit: str
    method: str
    goal: float | None = None
    at_least: bool = False
    """Whether the goal is a minimum. Otherwise it is a maximum."""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def percentile(values: Iterable[float], share: float) -> float:
    """The nearest-rank percentile, which is one of the values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(seconds: Iterable[float]) -> dict[str, float]:
    """Percentiles of durations: from seconds to milliseconds."""
    values = [round(1000 * s, 2) for s in seconds]
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {f"{name}_ms": percentile(values, share) for name, share in shares.items()} | {"count": len(values)}
