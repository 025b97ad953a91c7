"""Write consecutive Hold decisions of a rule in bulk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.engine.core.state_cache import DecisionRecord
from retrainer.rules.outcome import Decision, Kind
from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from retrainer.engine.core.state_cache import Entry
    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.outcome import Reason
    from retrainer.rules.state import State
    from retrainer.rules.triggers.kind import Verdict

TOGETHER = 2000
"""Rows written at once."""


class Pages:
    """Buffer of completed decision rows."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)

    def write(self, tx: Transaction, at_least: int = 1) -> None:
        if len(self._rows) >= at_least:
            statements.append_all(tx.conn, t.decisions, self._rows)
            self._rows = []


class Notes:
    """Decisions of one rule without keys, from its last recorded one. Consecutive equal decisions are one row."""

    def __init__(self, rule: str, entry: Entry, record: DecisionRecord, pages: Pages) -> None:
        self._rule, self._entry, self._noted, self._pages = rule, entry, record, pages
        self._decision = record.decision
        self._stored = True
        """The current row is in the store already, without the decisions counted by ``_count``."""
        self._first = self._last = 0.0
        self._count = 0

    def add(self, tx: Transaction, name: str, verdict: Verdict, at: float, first_at: float, count: int = 1) -> None:
        """Add ``count`` Hold decisions with the verdict of a trigger, from ``first_at`` to ``at``."""
        if verdict.reason is not self._decision.reason:
            self._turn(tx)
            self._first, self._count = first_at, 0
        self._decision = Decision(Kind.HOLD, verdict.reason, f"{name}: {verdict.detail}", verdict.until)
        self._last = at
        self._count += count

    @property
    def reason(self) -> Reason:
        """The reason of the last decision."""
        return self._decision.reason

    def repeat(self, at: float) -> None:
        """Add the last decision once more."""
        self._last = at
        self._count += 1

    def close(self, tx: Transaction, state: State) -> None:
        """Pass the last row to the transaction, with the resulting state."""
        where = (self._rule, "")
        tx.states.changed[where] = replace(self._entry, record=self._noted)
        tx.now = self._last
        tx.states.absorb(tx.catalog.rules[self._rule], state, self._decision, self._count - 1, self._first)
        self._pages.write(tx, TOGETHER)

    def _turn(self, tx: Transaction) -> None:
        """Complete the current row."""
        if not self._stored:
            self._write(tx)
        elif self._count:
            now, tx.now = tx.now, self._last
            where = (self._rule, "")
            tx.states.changed[where] = self._entry
            tx.states.absorb(
                tx.catalog.rules[self._rule], self._entry.state, self._decision, self._count - 1, self._first
            )
            self._entry, tx.now = tx.states.changed[where], now
        self._stored = False

    def _write(self, tx: Transaction) -> None:
        d, number = self._decision, tx.writes.number("decision")
        fields = (d.kind.value, d.reason.value, d.detail, d.until)
        times = (self._first, self._last, self._count)
        self._pages.add((number, self._rule, "", *fields, None, *times, tx.writes.counters["seq"]))
        self._noted = DecisionRecord(number, d, self._first, self._count)
