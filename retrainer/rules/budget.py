"""What remains of a budget: runs and GPU hours within any period of its length."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.admission import ROUNDING
from retrainer.rules.limits import RemainingBudget
from retrainer.rules.triggers.freshness import span
from retrainer.util.counts import part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.config.models import Budget

_UNLIMITED = 1_000_000


@dataclass(frozen=True, slots=True)
class Spent:
    """A run that started at ``at`` (epoch seconds), and the GPU hours it used or that are reserved for it."""

    at: float
    hours: float
    reserved: bool = False


def remaining_budget(budget: Budget, spent: Sequence[Spent], reserve: float, now: float) -> RemainingBudget:
    """How many runs of `reserve` GPU hours each may start now; if none, when the first may start.

    ``spent`` are the runs of the last `per` seconds, oldest first. A run may start only if used and reserved hours,
    including its own reserve, stay within the limit.
    """
    inside = [run for run in spent if run.at > now - budget.per]
    runs = _left(budget, inside, reserve)
    detail = _detail(budget, inside)
    if runs > 0:
        return RemainingBudget(runs, detail)
    for i in range(1, len(inside) + 1):
        if _left(budget, inside[i:], reserve) > 0:
            return RemainingBudget(0, detail, inside[i - 1].at + budget.per)
    return RemainingBudget(0, f"{detail}; the reserve of one run, {reserve:g} GPU hours, exceeds the budget")


def _left(budget: Budget, spent: Sequence[Spent], reserve: float) -> int:
    left = _UNLIMITED if budget.runs is None else budget.runs - len(spent)
    if budget.gpu_hours is None:
        return left
    hours = budget.gpu_hours - sum(run.hours for run in spent)
    if hours <= ROUNDING:
        return 0
    return min(left, _UNLIMITED if reserve <= 0 else math.floor((hours + ROUNDING) / reserve))


def _detail(budget: Budget, spent: Sequence[Spent]) -> str:
    parts = []
    if budget.runs is not None:
        parts.append(part(len(spent), budget.runs, "run"))
    if budget.gpu_hours is not None:
        reserved = sum(run.hours for run in spent if run.reserved)
        kept = f" ({reserved:g} reserved)" if reserved else ""
        parts.append(f"{sum(run.hours for run in spent):g} of {budget.gpu_hours:g} GPU hours{kept}")
    return f"{' and '.join(parts)} in {span(budget.per)}"
