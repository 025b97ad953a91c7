"""The stored states in the order of their next evaluation, each as its `Forecast`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Row, select, tuple_

from retrainer.engine.core import rule_changes
from retrainer.engine.core.catalog import budget_of
from retrainer.rules.forecast import Forecast
from retrainer.store import run_statements, statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.schedules.agenda_means import AgendaMeans

CHUNK = 50
"""States that are read and decoded at once: at most 10 ms."""
FEW = 2000
"""Keys of a rule up to which its states are found by rule, and sorted; else they are found by time."""
FEW_RULES = 20
"""As many rules at most are found by name."""
_C = t.states.c
Found = tuple[str, str, Forecast]


@dataclass(frozen=True, slots=True)
class AgendaQuery:
    """Entries from ``since`` on and before ``until`` (epoch seconds), at most ``limit``.

    ``after``: the time of the last entry of the previous page, and how many entries of that time were shown.
    ``rule`` and ``kind`` filter; ``only`` are the rules that the caller may see, None for all.
    """

    since: float
    until: float
    limit: int
    after: tuple[float, int] | None = None
    rule: str | None = None
    kinds: Collection[str] = ()
    only: Collection[str] | None = None


class AgendaStates:
    """``reached``: all states with an earlier next evaluation have been returned."""

    def __init__(
        self,
        read: Callable[[Callable[[Connection], Any]], Any],
        catalog: Catalog,
        query: AgendaQuery,
        means: AgendaMeans,
        now: float,
    ) -> None:
        self._read, self._catalog, self._query, self._means, self._now = read, catalog, query, means, now
        self._last: tuple[float, int] = (-math.inf, 0)
        self._names = sharing(catalog, query.rule) if query.rule is not None else None
        self._by_name = self._names is not None and len(self._names) <= FEW_RULES and read(self._is_small)
        self.reached = -math.inf

    def more(self) -> list[Found]:
        """Return the next states; empty at the end."""
        found: list[Found] = []
        while not found and self.reached < math.inf:
            found = self._read(self._chunk)
        return found

    def _is_small(self, conn: Connection) -> bool:
        names = self._names or ()
        return sum(len(statements.keys_of(conn, name, "", FEW)) for name in names) < FEW

    def _chunk(self, conn: Connection) -> list[Found]:
        after = tuple_(_C.wake_at, _C.id) > self._last
        query = select(t.states).where(_C.wake_at < self._query.until, after).order_by(_C.wake_at, _C.id)
        if self._by_name:
            query = query.where(_C.rule.in_(self._names or ()))
        rows = conn.execute(query.limit(CHUNK)).all()
        if len(rows) < CHUNK:
            self.reached = math.inf
        else:
            self._last = rows[-1].wake_at, rows[-1].id
            self.reached = max(rows[-1].wake_at, self._now)
        return [(row.rule, row.key, self._forecast(conn, row)) for row in rows if self._is_seen(row.rule)]

    def _is_seen(self, rule: str) -> bool:
        return rule in self._catalog.rules and (self._names is None or rule in self._names)

    def _forecast(self, conn: Connection, row: Row[Any]) -> Forecast:
        rule = self._catalog.rules[row.rule]
        state = rule_changes.of_row(conn, rule, row.key, row, self._now)
        if row.revision != rule.revision:
            state = state.but(wake_at=self._now)
        usual = self._means.usual(conn, rule)
        ends = []
        if state.active:
            runs = run_statements.live_runs(conn, rule.name, row.key)
            ends = [self._means.end_of(rule.name, r.started_at or r.submitted_at or r.created_at) for r in runs]
        return Forecast(rule, row.key, state, self._now, usual, ends)


def sharing(catalog: Catalog, name: str) -> frozenset[str]:
    """Return the rules whose runs may delay those of a rule: by its pool, or by its budget; with the rule itself."""
    rule = catalog.rules[name]
    pool, budget = rule.rule.limits.pool, budget_of(rule)
    payers = {payer.name for payer in catalog.payers.get(budget, ())} if budget else set()
    pooled = {other.name for other in catalog.rules.values() if other.rule.limits.pool == pool} if pool else set()
    return frozenset({name} | payers | pooled)
