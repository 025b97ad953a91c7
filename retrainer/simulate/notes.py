"""Decisions to hold that a rule would note one after the other, written in bulk."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.engine.cache import Noted
from retrainer.rules.outcome import Decision, Kind
from retrainer.store import tables as t
from retrainer.store import writes

if TYPE_CHECKING:
    from retrainer.engine.cache import Entry
    from retrainer.engine.work import Work
    from retrainer.rules.state import State
    from retrainer.rules.triggers.verdict import Verdict

TOGETHER = 2000
"""Rows that are written at once."""


class Pages:
    """Rows of finished notes, on their way into the store."""

    def __init__(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def add(self, row: tuple[Any, ...]) -> None:
        self._rows.append(row)

    def write(self, work: Work, at_least: int = 1) -> None:
        if len(self._rows) >= at_least:
            writes.append_all(work.conn, t.decisions, self._rows)
            self._rows = []


class Notes:
    """Of one rule without keys, from the decision on that it noted last: equal ones in a row are one row."""

    def __init__(self, rule: str, entry: Entry, noted: Noted, pages: Pages) -> None:
        self._rule, self._entry, self._noted, self._pages = rule, entry, noted, pages
        self._decision = noted.decision
        self._stored = True
        """The present row is in the store already, without those that ``_count`` counts."""
        self._first = self._last = 0.0
        self._count = 0

    def add(self, work: Work, name: str, said: Verdict, at: float, first_at: float, count: int = 1) -> None:
        """The rule holds because of what a trigger said ``count`` times, from ``first_at`` to ``at``."""
        if said.reason is not self._decision.reason:
            self._turn(work)
            self._first, self._count = first_at, 0
        self._decision = Decision(Kind.HOLD, said.reason, f"{name}: {said.detail}", said.until)
        self._last = at
        self._count += count

    def close(self, work: Work, state: State) -> None:
        """Hand the last row over to the work, with the state that all of it led to."""
        where = (self._rule, "")
        work.changed[where] = replace(self._entry, noted=self._noted)
        work.now = self._last
        work.absorb(where, state, self._decision, self._count - 1, self._first)
        self._pages.write(work, TOGETHER)

    def _turn(self, work: Work) -> None:
        """The present row is finished."""
        if not self._stored:
            self._write(work)
        elif self._count:
            now, work.now = work.now, self._last
            where = (self._rule, "")
            work.changed[where] = self._entry
            work.absorb(where, self._entry.state, self._decision, self._count - 1, self._first)
            self._entry, work.now = work.changed[where], now
        self._stored = False

    def _write(self, work: Work) -> None:
        d, number = self._decision, work.number("decision")
        said = (d.kind.value, d.reason.value, d.detail, d.until)
        times = (self._first, self._last, self._count)
        self._pages.add((number, self._rule, "", *said, None, *times, work.counters["seq"]))
        self._noted = Noted(number, d, self._first, self._count)
