"""What runs of the agenda share: places in pools, and budgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select

from retrainer.engine.core import budget_balances
from retrainer.engine.core.catalog import budget_of
from retrainer.engine.schedules import estimate
from retrainer.rules.admission import AdmissionRequest, Capacity, admit
from retrainer.rules.budget import Spent, remaining_budget
from retrainer.rules.forecast import Usual
from retrainer.store import tables as t
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from typing import Any

    from sqlalchemy import Connection, Row

    from retrainer.config.models import Budget
    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget

MOST_HOLDERS = 1000
"""Runs that hold places of pools now, as far as they are considered."""
NAMED = 3
"""Holders of a pool that are named."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why a run would wait after it was created: for a place in a ``pool``, or for a shared ``budget``."""

    kind: Literal["pool", "budget"]
    name: str
    detail: str
    until: float | None = None


class AgendaMeans:
    """What is taken now, and by the runs of the agenda so far. Calls to `admit` are in order of time."""

    def __init__(self, conn: Connection, catalog: Catalog, now: float, only: Collection[str] | None) -> None:
        """``only``: the rules that may be named, None for all."""
        self._catalog, self._now, self._only = catalog, now, only
        self._usual: dict[str, Usual] = {}
        self._spent: dict[str, list[Spent]] = {}
        self._pools = {name: _Places(size) for name, size in catalog.pools.items()}
        for run in _in_pools(conn):
            if run.pool in self._pools and run.rule in catalog.rules:
                self._takes(conn, run)

    def usual(self, conn: Connection, rule: CompiledRule) -> Usual:
        """Return what is known about the runs of a rule; read once."""
        if rule.name not in self._usual:
            self._usual[rule.name] = self._read_usual(conn, rule)
        return self._usual[rule.name]

    def end_of(self, rule: str, begun: float) -> float:
        """When an active run ends: after the usual time. One that takes longer, after as long as it has run already."""
        end = begun + self._usual[rule].seconds
        return end if end > self._now else self._now + max(self._now - begun, 1.0)

    def admit(self, rule: CompiledRule, at: float) -> Iterator[Blocker]:
        """Let a run start at ``at``; yield what blocks it."""
        usual, name = self._usual[rule.name], budget_of(rule)
        budget = self._catalog.budgets.get(name)
        if budget is not None:
            left = remaining_budget(budget, self._spent[name], usual.hours, at)
            if left.runs <= 0:
                yield Blocker("budget", name, f"budget {name} is used up: {left.detail}", left.until)
                return
            self._spent[name].append(Spent(at, usual.hours, reserved=True))
        pool = rule.rule.limits.pool
        if pool in self._pools:
            waits = self._pools[pool].take(self._named(rule.name), rule.rule.limits.priority, at, usual.seconds)
            if waits is not None:
                yield Blocker("pool", pool, f"pool {pool}: {waits[0]}", waits[1])

    def _takes(self, conn: Connection, run: Row[Any]) -> None:
        """A run of now that holds a place, or waits for one."""
        usual = self.usual(conn, self._catalog.rules[run.rule])
        places = self._pools[run.pool]
        if run.admitted_at is not None:
            places.hold(self.end_of(run.rule, run.begun or run.admitted_at), self._named(run.rule))
        else:
            places.take(self._named(run.rule), run.priority, run.created_at, usual.seconds)

    def _named(self, rule: str) -> str:
        return rule if self._only is None or rule in self._only else "a rule of another namespace"

    def _read_usual(self, conn: Connection, rule: CompiledRule) -> Usual:
        seconds = estimate.run_seconds(conn, rule.name) or 0.0
        budget = self._catalog.budget_for(rule)
        if budget is None:
            return Usual(seconds)
        hours = budget_balances.reserve_of(conn, rule, budget)
        name = budget_of(rule)
        if name in self._catalog.budgets:
            if name not in self._spent:
                spending = budget_balances.spending(conn, self._catalog, name, self._now)
                self._spent[name] = [spent for _, spent in spending]
            return Usual(seconds, hours)
        spent = budget_balances.spent_runs(conn, (rule.name,), budget, {rule.name: hours}, self._now, created=True)
        return Usual(seconds, hours, partial(_remaining, budget, spent, hours))


class _Places:
    """The places of a pool: the ends of the runs that hold one, and the runs that wait for one."""

    def __init__(self, size: int) -> None:
        self._size, self._count = size, 0
        self._ends: list[tuple[float, str]] = []
        self._waiting: dict[str, tuple[AdmissionRequest, str, float]] = {}

    def hold(self, end: float, rule: str) -> None:
        heappush(self._ends, (end, rule))

    def take(self, rule: str, priority: int, at: float, seconds: float) -> tuple[str, float | None] | None:
        """Take a place at ``at``. If there is none, return who holds them, and until when one has to wait if known."""
        while self._ends and self._ends[0][0] < at:
            self._fill(heappop(self._ends)[0])
        self._count += 1
        request = AdmissionRequest(f"{self._count:09}", "", priority, at, 0.0)
        self._waiting[request.run] = request, rule, seconds
        self._fill(at)
        if request.run not in self._waiting:
            return None
        ahead = sum(w.priority >= priority for w, _, _ in self._waiting.values()) - 1
        ends = sorted(end for end, _ in self._ends)
        known = ahead < len(ends) and ends[ahead] > at  # a run of unknown duration ends when it begins
        return self._words(ahead), ends[ahead] if known else None

    def _fill(self, at: float) -> None:
        requests = [request for request, _, _ in self._waiting.values()]
        for run in admit(requests, Capacity({"": self._size}, {"": len(self._ends)}), at):
            _, rule, seconds = self._waiting.pop(run)
            heappush(self._ends, (at + seconds, rule))

    def _words(self, ahead: int) -> str:
        holders = list(dict.fromkeys(rule for _, rule in sorted(self._ends)))
        more = f" and {many(len(holders) - NAMED, 'other rule')}" if len(holders) > NAMED else ""
        taken = f"{many(self._size, 'place')} taken by {', '.join(holders[:NAMED])}{more}" if holders else "no place"
        return f"{taken}; {many(ahead, 'run')} in front of it" if ahead else taken


def _remaining(
    budget: Budget, spent: Sequence[Spent], reserve: float, at: float, assumed: Sequence[Spent]
) -> RemainingBudget:
    return remaining_budget(budget, [*spent, *assumed], reserve, at)


def _in_pools(conn: Connection) -> list[Row[Any]]:
    """Return runs that hold a place of a pool, then those that wait for one."""
    c = t.runs.c
    begun = func.coalesce(c.started_at, c.submitted_at).label("begun")
    query = select(c.rule, c.pool, c.priority, c.created_at, c.admitted_at, begun)
    query = query.where(c.ended_at.is_(None), c.pool.is_not(None))
    return list(conn.execute(query.order_by(c.admitted_at.is_(None), c.id).limit(MOST_HOLDERS)))
