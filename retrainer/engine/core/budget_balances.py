"""Budget use from the store: the remaining budget of one rule for `step`, the balances of all budgets for `admit`."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog
from sqlalchemy import Connection, Row, Select, and_, bindparam, func, or_, select

from retrainer.config.models import Budget
from retrainer.engine.core.catalog import Catalog, budget_of
from retrainer.rules.admission import BudgetBalance
from retrainer.rules.budget import Spent, remaining_budget
from retrainer.store import tables as t
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget

T = TypeVar("T")


class Contain(Protocol):
    """How to handle an error of ``compute``, which is for the rule or budget named ``whose``."""

    def __call__(self, compute: Callable[[], T], whose: str, /) -> T | None: ...


log = structlog.get_logger()
AGAIN = 30.0
"""Seconds after which a failed computation is retried."""
LAST = 10
"""Number of last runs whose mean GPU hours are reserved for the next run, if the budget sets no `reserve`."""


def of_rule(conn: Connection, rule: CompiledRule, now: float) -> RemainingBudget | None:
    """Return what remains of the rule's inline budget; None if it has no inline budget."""
    budget = rule.rule.limits.budget
    if not isinstance(budget, Budget):
        return None
    reserve = reserve_of(conn, rule, budget)
    return remaining_budget(
        budget, spent_runs(conn, (rule.name,), budget, {rule.name: reserve}, now, created=True), reserve, now
    )


def balances(
    conn: Connection, catalog: Catalog, names: Collection[str], now: float, contain: Contain
) -> tuple[dict[str, BudgetBalance], float | None]:
    """Return the balances of the named budgets, and when the first of them next increases (epoch seconds).

    If a balance cannot be computed and ``contain`` contains the error, it counts as empty and is retried after
    `AGAIN`.
    """
    found: dict[str, BudgetBalance] = {}
    moments: list[float] = []
    for name in names:
        rules = catalog.payers.get(name, ())
        budget = catalog.budgets.get(name) or next(map(catalog.budget_for, rules), None)
        if budget is None:
            continue
        found_out = contain(partial(_balance, conn, budget, rules, now, contain), name)
        found[name], renewed = (BudgetBalance(0, 0.0), now + AGAIN) if found_out is None else found_out
        moments += [renewed] if renewed is not None else []
    return found, min(moments, default=None)


def _balance(
    conn: Connection, budget: Budget, rules: Sequence[CompiledRule], now: float, contain: Contain
) -> tuple[BudgetBalance, float | None]:
    """Return the balance of one budget, and when it next increases (epoch seconds).

    A rule whose reserve cannot be computed starts no run (`cost_of` raises as well). So that this does not block the
    rules that share the budget, each of its active runs counts as the largest reserve of the others.
    """
    costs = {rule.name: contain(partial(reserve_of, conn, rule, budget), rule.name) for rule in rules}
    dearest = max((cost for cost in costs.values() if cost is not None), default=0.0)
    reserves = {name: dearest if cost is None else cost for name, cost in costs.items()}
    spent = spent_runs(conn, reserves, budget, reserves, now, created=False)
    hours = None if budget.gpu_hours is None else budget.gpu_hours - sum(run.hours for run in spent)
    runs = None if budget.runs is None else budget.runs - len(spent)
    return BudgetBalance(runs, hours), spent[0].at + budget.per if spent else None


def logged(compute: Callable[[], T], whose: str) -> T | None:
    """Log the error and return None if ``compute`` raises. Raise errors that end the whole transaction."""
    try:
        return compute()
    except Exception as error:
        if of_whole(error):
            raise
        log.exception("admission.raised", whose=whose)
        return None


def cost_of(conn: Connection, catalog: Catalog, rule_name: str) -> tuple[str, float]:
    """Return the name of the budget that pays for a run of the rule, and the GPU hours reserved for it, if any."""
    rule = catalog.rules.get(rule_name)
    if rule is None:
        return "", 0.0
    budget = catalog.budget_for(rule)
    return budget_of(rule), reserve_of(conn, rule, budget) if budget is not None else 0.0


def reserve_of(conn: Connection, rule: CompiledRule, budget: Budget) -> float:
    """Return the GPU hours reserved for a run of the rule that has not ended."""
    if budget.gpu_hours is None:
        return 0.0
    if budget.reserve is not None:
        return budget.reserve
    c = t.runs.c
    ran = (c.rule == rule.name, c.gpu_hours.is_not(None), c.uid.is_not(None))  # refused runs say nothing about cost
    last = select(c.gpu_hours).where(*ran).order_by(c.id.desc()).limit(LAST)
    mean = conn.execute(select(func.avg(last.subquery().c.gpu_hours))).scalar()
    return float(mean or 0.0)


def spent_runs(
    conn: Connection, rules: Iterable[str], budget: Budget, reserves: Mapping[str, float], now: float, *, created: bool
) -> list[Spent]:
    """Return attempts that started within the budget's period, oldest first; with ``created`` also waiting ones."""
    return [_spent(row, reserves, now) for row in _spent_rows(conn, rules, budget, now, created=created)]


def spending(conn: Connection, catalog: Catalog, name: str, now: float) -> list[tuple[str, Spent]]:
    """Return rule and use of each attempt that started within the period of a shared budget, oldest first."""
    budget, payers = catalog.budgets[name], {rule.name: rule for rule in catalog.payers.get(name, ())}
    rows = _spent_rows(conn, payers, budget, now, created=False)
    active = {row.rule for row in rows if row.ended_at is None}
    reserves = {rule: reserve_of(conn, payers[rule], budget) for rule in active}
    return [(row.rule, _spent(row, reserves, now)) for row in rows]


def _spent_rows(conn: Connection, rules: Iterable[str], budget: Budget, now: float, *, created: bool) -> list[Row[Any]]:
    return list(conn.execute(_spent_query(created=created), {"rules": list(rules), "since": now - budget.per}))


@cache  # building it takes longer than the query
def _spent_query(*, created: bool) -> Select[Any]:
    c = t.runs.c
    started = and_(c.admitted_at > bindparam("since"), or_(c.ended_at.is_(None), c.uid.is_not(None)))
    counts = or_(started, and_(c.admitted_at.is_(None), c.ended_at.is_(None))) if created else started
    query = select(c.rule, c.created_at, c.admitted_at, c.ended_at, c.gpu_hours)
    of_rules = query.where(c.rule.in_(bindparam("rules", expanding=True)), counts)
    return of_rules.order_by(func.coalesce(c.admitted_at, c.created_at))


def _spent(row: Row[Any], reserves: Mapping[str, float], now: float) -> Spent:
    return Spent(
        now if row.admitted_at is None else row.admitted_at,
        reserves.get(row.rule, 0.0) if row.ended_at is None else row.gpu_hours or 0.0,
        row.ended_at is None,
    )
