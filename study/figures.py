"""The results of each rule as figures and as tables."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from study.stream import MIRRORED, RENUMBERED, ROTATED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from study.play import Played

AFTER = 10
"""Hours that count as right after a drift."""
HEADERS = (
    "rule",
    "retrains",
    "promoted",
    "in quiet",
    "GPU hours",
    "accuracy",
    "after rotation",
    "while mirroring",
    "after mirroring",
    "after renumbering",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """Accuracies are means, from 0 to 1. ``quiet`` is the number of retrains between the second drift and the third."""

    rule: str
    retrains: int
    promoted: int
    quiet: int
    gpu_hours: float
    accuracy: float
    rotated: float
    mirroring: float
    mirrored: float
    renumbered: float


def figures(played: Played) -> Figures:
    begin, end = MIRRORED
    hours = played.accuracy
    return Figures(
        played.rule,
        len(played.retrains),
        sum(retrain.promoted for retrain in played.retrains),
        sum(end + AFTER <= retrain.hour < RENUMBERED for retrain in played.retrains),
        played.gpu_hours,
        fmean(hours),
        fmean(hours[ROTATED : ROTATED + AFTER]),
        fmean(hours[begin:end]),
        fmean(hours[end : end + AFTER]),
        fmean(hours[RENUMBERED : RENUMBERED + AFTER]),
    )


def cells(one: Figures) -> list[str]:
    """The figures as text, in the order of HEADERS."""
    shares = (one.accuracy, one.rotated, one.mirroring, one.mirrored, one.renumbered)
    counts = (one.rule, one.retrains, one.promoted, one.quiet, f"{one.gpu_hours:.1f}")
    return [*map(str, counts), *(f"{100 * share:.1f} %" for share in shares)]


def markdown(found: Iterable[Figures]) -> str:
    rows: list[Sequence[str]] = [HEADERS, ["---"] * len(HEADERS), *map(cells, found)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_json(played: Played) -> dict[str, object]:
    return {**asdict(figures(played)), "runs": [asdict(retrain) for retrain in played.retrains]}
