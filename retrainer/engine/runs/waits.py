"""Why a run has not started yet: the reason, until when (if known), and the runs that block it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from retrainer.engine.core import budget_balances
from retrainer.runs.run import Run, RunPhase
from retrainer.store import run_statements
from retrainer.store import tables as t
from retrainer.util.counts import many

if TYPE_CHECKING:
    from retrainer.engine.core.catalog import Catalog

HOLDERS = 10
"""Maximum number of blocking runs (holders of a pool slot) in an answer."""


def waits_for(conn: Connection, catalog: Catalog, run: Run, now: float) -> dict[str, Any] | None:
    """Return `reason`, `detail`, `until` (epoch seconds or None) and `held_by` (run ids); None if nothing blocks it."""
    if run.phase is RunPhase.SUBMITTING:
        return _wait("submission", "its Workflow is being created")
    if run.phase is not RunPhase.PENDING:
        return None
    if run.not_before > now:
        detail = f"after: {run.message}" if run.message else f"attempt {run.attempt} is due then"
        return _wait("retry", detail, run.not_before)
    if run.admitted_at is not None:
        return _wait("submission", run.message or "the submitter has not claimed it yet")
    return _pool(conn, catalog, run) or _budget(conn, catalog, run, now) or _wait("admission", "admitted next")


def _pool(conn: Connection, catalog: Catalog, run: Run) -> dict[str, Any] | None:
    size = catalog.pools.get(run.pool) if run.pool is not None else None
    if size is None or run.pool is None or run_statements.pool_use(conn).get(run.pool, 0) < size:
        return None
    c = t.runs.c
    query = select(c.id).where(c.pool == run.pool, c.ended_at.is_(None), c.admitted_at.is_not(None)).order_by(c.id)
    holders = list(conn.execute(query.limit(HOLDERS)).scalars())
    taken = "the only slot" if size == 1 else f"all {many(size, 'slot')}"
    return _wait("pool", f"{taken} of pool {run.pool} {'is' if size == 1 else 'are'} taken", held_by=holders)


def _budget(conn: Connection, catalog: Catalog, run: Run, now: float) -> dict[str, Any] | None:
    cost = budget_balances.logged(partial(budget_balances.cost_of, conn, catalog, run.rule), run.rule)
    if cost is None:
        return _wait("budget", "its cost cannot be determined: see admission.raised in the log")
    name, reserve = cost
    balances, renewed = budget_balances.balances(conn, catalog, {name} if name else (), now, budget_balances.logged)
    balance = balances.get(name)
    if balance is None or balance.pays(reserve):
        return None
    runs = many(max(balance.runs, 0), "run") if balance.runs is not None else ""
    hours = (
        f"{max(balance.hours, 0.0):g} GPU hours of the {reserve:g} that a run needs"
        if balance.hours is not None
        else ""
    )
    left = " and ".join(filter(None, (runs, hours)))
    return _wait("budget", f"budget {name} has {left} left", renewed)


def _wait(reason: str, detail: str, until: float | None = None, held_by: list[str] | None = None) -> dict[str, Any]:
    return {"reason": reason, "detail": detail, "until": until, "held_by": held_by or []}
