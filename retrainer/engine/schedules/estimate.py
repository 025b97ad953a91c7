"""Estimate the cost of a number of runs and the start of the last one, from the rule's recent runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, func, select

from retrainer.engine.core import budget_balances
from retrainer.engine.core.catalog import budget_of
from retrainer.rules.backfill import Pace, last_start
from retrainer.rules.evaluate import evaluate
from retrainer.rules.limits import blocking_limit
from retrainer.rules.outcome import Decision, Reason
from retrainer.rules.state import ManualRequest, State
from retrainer.runs.run import RunPhase
from retrainer.store import tables as t

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule

_ENDLESS = (Reason.PAUSED, Reason.CIRCUIT_OPEN, Reason.INHIBITED)
"""Reasons that block a rule for an unknown time."""


def of(tx: Transaction, rule: CompiledRule, key: str, state: State, count: int) -> dict[str, Any]:
    """Return GPU hours (None if no run reported its cost), seconds per run, and the last start (None if unknown).

    ``note`` says what the estimate leaves out, or why there is none.
    """
    lasts = run_seconds(tx.conn, rule.name)
    hours = _hours(tx, rule)
    held = _held(tx, rule.of_key(key), state)
    waiting = sum(asked.backfill for asked in state.asked)
    at, note = _last(tx, rule, state, waiting + count, lasts, held) if count else (None, "")
    return {
        "gpu_hours": None if hours is None else round(hours * count, 3),
        "run_seconds": lasts,
        "last_start": at,
        "note": note,
        "held": {"reason": held.reason.value, "detail": held.detail, "until": held.until} if held else None,
    }


def run_seconds(conn: Connection, rule: str) -> float | None:
    """Return the mean duration of the rule's last successful runs; None without any."""
    mean = conn.execute(_SECONDS, {"b_rule": rule}).scalar()
    return None if mean is None else float(mean)


def _last(
    tx: Transaction, rule: CompiledRule, state: State, count: int, lasts: float | None, held: Decision | None
) -> tuple[float | None, str]:
    if held is not None and held.reason in _ENDLESS:
        return None, f"held for an unknown time: {held.reason.value}"
    limits = rule.rule.limits
    at_once = limits.max_active if limits.overlap == "allow_all" else 1
    slots = tx.catalog.pools.get(limits.pool, at_once) if limits.pool is not None else at_once
    pace = _pace(tx, rule, lasts or 0.0, min(at_once, slots))
    if pace.at_once < 1:
        return None, f"pool {limits.pool} has no slots"
    if lasts is None and count > pace.at_once:
        return None, "no run has succeeded yet, so the duration is unknown"
    at = last_start(rule, state, count, pace, tx.now)
    note = "if no other run starts in between" + (
        f", and pool {limits.pool} is free" if limits.pool is not None else ""
    )
    return at, note if at is not None else "never: a limit leaves no room for it"


def _pace(tx: Transaction, rule: CompiledRule, lasts: float, at_once: int) -> Pace:
    name = budget_of(rule)
    budget = tx.catalog.budget_for(rule)
    if budget is None:
        return Pace(lasts, at_once)
    reserve = budget_balances.reserve_of(tx.conn, rule, budget)
    most = [budget.runs] if budget.runs is not None else []
    if budget.gpu_hours is not None and reserve > 0:
        most.append(math.floor(budget.gpu_hours / reserve))
    paid = [other.name for other in tx.catalog.rules.values() if budget_of(other) == name]
    c = t.runs.c
    started = select(c.admitted_at).where(c.rule.in_(paid), c.admitted_at > tx.now - budget.per)
    moments = tuple(tx.conn.execute(started.order_by(c.admitted_at)).scalars())
    return Pace(lasts, at_once, min(most, default=None), budget.per, moments)


def _held(tx: Transaction, rule: CompiledRule, state: State) -> Decision | None:
    """Return the limit that would block the first slot now. Active runs are not considered."""
    inhibiting = evaluate(rule, state, tx.now).inhibiting
    asked = ManualRequest(scheduled_at=tx.now)
    remaining_budget = budget_balances.of_rule(tx.conn, rule, tx.now)
    return blocking_limit(rule, state.but(active=0), tx.now, inhibiting, remaining_budget, asked)


def _hours(tx: Transaction, rule: CompiledRule) -> float | None:
    """Return the GPU hours of a run: the budget's `reserve`, else the mean of the runs that reported them."""
    budget = tx.catalog.budget_for(rule)
    if budget is not None and budget.reserve is not None:
        return budget.reserve
    return _mean(tx.conn, rule.name, t.runs.c.gpu_hours)


def _mean(conn: Connection, rule: str, value: ColumnElement[float]) -> float | None:
    """Return the mean over the last successful runs, or None without any."""
    mean = conn.execute(_mean_of(value), {"b_rule": rule}).scalar()
    return None if mean is None else float(mean)


def _mean_of(value: ColumnElement[float]) -> Select[Any]:
    c = t.runs.c
    ran = (c.rule == bindparam("b_rule"), c.phase == RunPhase.SUCCEEDED.value, value.is_not(None))
    found = select(value.label("value")).where(*ran).order_by(c.id.desc()).limit(budget_balances.LAST).subquery()
    return select(func.avg(found.c.value))


_SECONDS = _mean_of(t.runs.c.ended_at - func.coalesce(t.runs.c.started_at, t.runs.c.submitted_at))
"""Built once, because the agenda asks it for many rules."""
