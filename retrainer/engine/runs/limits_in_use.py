"""What limits that several rules share look like now: pools, budgets and calendars."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from retrainer.engine.core import budget_balances
from retrainer.rules.budget import remaining_budget
from retrainer.store import pool_queries

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from sqlalchemy import Connection, Row

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.budget import Spent
    from retrainer.rules.calendars import Period
    from retrainer.rules.compile import CompiledRule
    from retrainer.store.scope import Scope

NAMED = 20
"""Runs or rules that are named; the others are counted."""
POOLS = 200
"""Pools, budgets or calendars of an answer."""


def pools(conn: Connection, catalog: Catalog, scope: Scope, now: float) -> list[dict[str, Any]]:
    """Return the pools, those first in which runs wait. Runs that the caller may not see are only counted."""
    counts, runs = pool_queries.pool_counts(conn), defaultdict(list)
    for run in pool_queries.pool_runs(conn, NAMED):
        runs[run.pool, bool(run.waits)].append(run)
    seen = _pools_of(catalog, scope)
    names = [name for name in {*catalog.pools, *(pool for pool, _ in counts)} if name in seen]
    names.sort(key=lambda name: (-counts.get((name, True), 0), -counts.get((name, False), 0), name))
    return [
        {
            "name": name,
            "size": catalog.pools.get(name),
            "used": counts.get((name, False), 0),
            "waiting": counts.get((name, True), 0),
            "rules": seen[name],
            "holders": [_run(run) for run in runs[name, False] if scope.has_rule(run.rule)],
            "queue": [_waits(run, now) for run in runs[name, True] if scope.has_rule(run.rule)],
        }
        for name in names[:POOLS]
    ]


def _pools_of(catalog: Catalog, scope: Scope) -> dict[str, int]:
    """Return the pools that the caller may see, with the number of its rules."""
    seen = {} if scope.limited else dict.fromkeys(catalog.pools, 0)
    for rule in _visible(catalog, scope):
        pool = rule.rule.limits.pool
        if pool is not None:
            seen[pool] = seen.get(pool, 0) + 1
    return seen


def _visible(catalog: Catalog, scope: Scope) -> Iterator[CompiledRule]:
    names: Iterable[str] = catalog.rules if scope.rules is None else scope.rules
    return (catalog.rules[name] for name in names if name in catalog.rules)


def _run(run: Row[Any]) -> dict[str, Any]:
    since = run.created_at if run.waits else run.admitted_at
    return {"run": run.id, "rule": run.rule, "key": run.key, "phase": run.phase, "since": since}


def _waits(run: Row[Any], now: float) -> dict[str, Any]:
    not_before = run.not_before if run.not_before > now else None
    return {**_run(run), "place": run.place, "priority": run.priority, "not_before": not_before}


def budgets(catalog: Catalog, scope: Scope) -> list[str]:
    """Return the names of the shared budgets that the caller may see."""
    if not scope.limited:
        return sorted(catalog.budgets)[:POOLS]
    used = {name for rule in _visible(catalog, scope) if isinstance(name := rule.rule.limits.budget, str)}
    return sorted(used & catalog.budgets.keys())[:POOLS]


def budget(conn: Connection, catalog: Catalog, name: str, scope: Scope, now: float) -> dict[str, Any]:
    """Return what a shared budget allows, what was spent of it by whom, and when something is available again."""
    asked, spent = catalog.budgets[name], budget_balances.spending(conn, catalog, name, now)
    remaining = remaining_budget(asked, [each for _, each in spent], asked.reserve or 0.0, now)
    hours = sum(each.hours for _, each in spent)
    return {
        "name": name,
        "per": asked.per,
        "runs": asked.runs,
        "gpu_hours": asked.gpu_hours,
        "spent_runs": len(spent),
        "spent_gpu_hours": round(hours, 6),
        "left_runs": None if asked.runs is None else max(asked.runs - len(spent), 0),
        "left_gpu_hours": None if asked.gpu_hours is None else round(max(asked.gpu_hours - hours, 0.0), 6),
        "exhausted": remaining.runs <= 0,
        "detail": remaining.detail,
        "renews_at": spent[0][1].at + asked.per if spent else None,
        "rules": sum(scope.has_rule(rule.name) for rule in catalog.payers.get(name, ())),
        "spenders": _spenders(spent, scope),
    }


def _spenders(spent: Iterable[tuple[str, Spent]], scope: Scope) -> list[dict[str, Any]]:
    """Return who spent most; the rules of others are one, without a name."""
    by: dict[str, list[Spent]] = defaultdict(list)
    for rule, each in spent:
        by[rule if scope.has_rule(rule) else ""].append(each)
    found: list[dict[str, Any]] = [
        {
            "rule": rule,
            "runs": len(each),
            "gpu_hours": round(sum(one.hours for one in each), 6),
            "active": sum(one.reserved for one in each),
        }
        for rule, each in by.items()
    ]
    return sorted(found, key=lambda one: (-one["gpu_hours"], -one["runs"], one["rule"]))[:NAMED]


class CalendarUse:
    """Which rules use the calendars of `mute` and `except`; computed once for each catalog and caller."""

    def __init__(self, catalog: Catalog, only: Collection[str] | None) -> None:
        self._periods: dict[str, Period] = {}
        self._mutes: dict[str, list[str]] = defaultdict(list)
        self._excepts: dict[str, list[str]] = defaultdict(list)
        for name in sorted(catalog.rules if only is None else (only & catalog.rules.keys())):
            rule = catalog.rules[name]
            for calendar, period in rule.mutes:
                self._periods[calendar] = period
                self._mutes[calendar].append(name)
            excepted = {pair for schedule in rule.schedules.values() for pair in schedule.slots.calendars}
            for calendar, period in excepted:
                self._periods[calendar] = period
                self._excepts[calendar].append(name)

    def at(self, now: float) -> list[dict[str, Any]]:
        """Return the calendars that rules use, active ones first."""
        found = [
            {
                "name": name,
                "active": period.contains(now),
                "changes_at": period.next_change(now),
                "mutes": self._mutes[name][:NAMED],
                "mutes_count": len(self._mutes[name]),
                "excepts": self._excepts[name][:NAMED],
                "excepts_count": len(self._excepts[name]),
            }
            for name, period in self._periods.items()
        ]
        return sorted(found, key=lambda one: (not one["active"], one["name"]))[:POOLS]
