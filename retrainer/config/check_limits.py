"""Checks of limits that their models cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.check_expressions import BOOLEAN, NUMBER, check_cel
from retrainer.config.models.base import written_duration
from retrainer.config.violation import Violation, known
from retrainer.rules.environment import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import Budget, Feedback, Rule
    from retrainer.config.tree import Path
    from retrainer.config.violation import Names


def check_limits(rule: Rule, names: Names) -> Iterator[Violation]:
    """Check limits, cost and feedback."""
    limits = rule.limits
    if limits.pool is not None:
        yield from known(("limits", "pool"), "pool", limits.pool, names.pools)
    if isinstance(limits.budget, str):
        yield from known(("limits", "budget"), "budget", limits.budget, names.budgets)
    elif limits.budget is not None:
        yield from _budget(("limits", "budget"), limits.budget)
    for i, name in enumerate(limits.mute):
        yield from known(("limits", "mute", i), "calendar", name, names.calendars)
    if rule.cost is not None:
        yield from check_cel(("cost", "gpu_hours"), rule.cost.gpu_hours, OUTPUTS, NUMBER)
    if rule.feedback is not None:
        yield from _feedback(rule.feedback, rule)


def check_budget(budget: Budget) -> Iterator[Violation]:
    yield from _budget((), budget)


def _budget(path: Path, budget: Budget) -> Iterator[Violation]:
    if budget.runs is None and budget.gpu_hours is None:
        yield Violation(path, "the budget has no limit", _limit(budget))
    if budget.per <= 0:
        yield Violation((*path, "per"), "must be longer than 0s", "write such as 24h or 30d")
    if budget.reserve is not None and budget.gpu_hours is None:
        hint = f"add such as `gpu_hours: {max(400, budget.reserve):.15g}`, or remove `reserve: {budget.reserve:.15g}`"
        yield Violation((*path, "reserve"), "the budget has no GPU hours to reserve", hint)
    elif budget.reserve is not None and budget.gpu_hours is not None and budget.reserve > budget.gpu_hours:
        yield Violation(
            (*path, "reserve"),
            f"more than the {budget.gpu_hours:.15g} GPU hours of the budget, so no run could ever start",
            f"write at most {budget.gpu_hours:.15g}, or raise `gpu_hours` to at least {budget.reserve:.15g}",
        )


def _limit(budget: Budget) -> str:
    per = written_duration(budget.per) if budget.per > 0 else "30d"
    return f"write such as {{runs: 10, per: {per}}} or {{gpu_hours: 400, per: {per}}}"


def _feedback(feedback: Feedback, rule: Rule) -> Iterator[Violation]:
    yield from check_cel(("feedback", "promoted"), feedback.promoted, OUTPUTS, BOOLEAN)
    if feedback.backoff is not None and rule.limits.cooldown is None:
        yield Violation(
            ("feedback", "backoff"), "the rule has no cooldown", "add `cooldown: 6h` under the `limits` of the rule"
        )
