"""Read what a simulation needs from the store of a running daemon, on a connection of its own, which only reads.

SQLite is read in short transactions of one page, up to the last input at the beginning, so that checkpoints of the
daemon never wait for this. PostgreSQL is read in one transaction that sees one state.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import create_engine, func, make_url, select
from sqlalchemy.pool import StaticPool

from retrainer.engine.intake.samples import QUERY
from retrainer.simulate.history import EVENT, EventRow, History, from_rows, recorded_runs
from retrainer.store import tables as t
from retrainer.store.postgres_engine import CONNECT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlalchemy import Connection, Engine, Row

    from retrainer.simulate.whatif.job import StoreAddress

PATIENCE = 10.0
"""Seconds to wait for a lock of SQLite, as while a store is recovered."""
PIECE = 20_000
"""Length of the range of `seq` that one read examines."""
MOST_INPUTS = 300_000
"""Inputs that are played at most: the latest ones."""
MOST_RUNS = 5000
_EVENT = tuple(t.events.c[name] for name in EVENT)


class Inputs(NamedTuple):
    """Events and journal entries, oldest first, and whether they are all that were asked for."""

    events: list[EventRow]
    journal: list[dict[str, Any]]
    whole: bool

    @property
    def begin(self) -> float | None:
        """The time of the first input; None without inputs."""
        ats = [*(row[1] for row in self.events[:1]), *(row["at"] for row in self.journal[:1])]
        return min(ats, default=None)


class Kept(NamedTuple):
    """The inputs of some rules that the store has, oldest first. ``begin`` is the time of the first.

    ``whole``: it is also the first input of these rules that is kept; else there were too many.
    """

    events: list[EventRow]
    journal: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    begin: float | None
    whole: bool

    def history(self) -> History:
        """Return what is kept as a history. Its records are parsed as they are read."""
        ats = [*(self.events[place][1] for place in (0, -1) if self.events), *(row["at"] for row in self.journal)]
        polled = frozenset((row[2], row[6]) for row in self.events if row[4] == QUERY)
        sources = frozenset(row[2] for row in self.events)
        span = (min(ats), max(ats)) if ats else None
        return History(
            lambda: from_rows(self.events, self.journal), recorded_runs(self.runs), {}, span, polled, sources
        )


@contextmanager
def opened(address: StoreAddress) -> Iterator[Snapshot]:
    """Open a store for reading."""
    engine = _postgres(address) if address.url else _sqlite(address.path)
    try:
        with engine.connect() as connection:
            yield Snapshot(connection, one_state=bool(address.url))
    finally:
        engine.dispose()


def _sqlite(path: str) -> Engine:
    def connect() -> sqlite3.Connection:
        return sqlite3.connect(f"{Path(path).absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)

    return create_engine("sqlite://", creator=connect, poolclass=StaticPool)


def _postgres(address: StoreAddress) -> Engine:
    url = make_url(address.url).set(drivername="postgresql+psycopg")
    given = {name: value for name, value in CONNECT.items() if name not in url.query}
    own = {"password": address.password} if address.password is not None else {}
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    arguments = {**given, **own, "application_name": "retrainer simulation"}
    return create_engine(url, connect_args=arguments, execution_options=options, hide_parameters=True)


class Snapshot:
    """Reads of one simulation."""

    def __init__(self, connection: Connection, *, one_state: bool) -> None:
        self._connection, self._one_state = connection, one_state

    def _rows(self, query: Any) -> list[Row[*tuple[Any, ...]]]:
        found = list(self._connection.execute(query))
        if not self._one_state:
            self._connection.rollback()
        return found

    def _maps(self, query: Any) -> list[dict[str, Any]]:
        found = [dict(row) for row in self._connection.execute(query).mappings()]
        if not self._one_state:
            self._connection.rollback()
        return found

    def files(self) -> dict[str, str]:
        """Return the texts of the rule files in force, by path."""
        files = t.config_files.c
        return dict(self._rows(select(files.path, files.content).order_by(files.path)))

    def runs(self, rules: Collection[str]) -> list[dict[str, Any]]:
        """Return the latest runs of some rules, in the order of their creation."""
        runs = t.runs.c
        found: list[dict[str, Any]] = []
        for rule in rules:
            found += self._maps(select(t.runs).where(runs.rule == rule).order_by(runs.id.desc()).limit(MOST_RUNS))
        return sorted(found, key=itemgetter("id"))

    def inputs(self, rules: Collection[str], sources: Collection[str], begin: float, until: float) -> Inputs:
        """Return the inputs from ``begin`` to ``until``, or the latest ones if these are too many."""
        first, last = self._span()
        events: list[list[EventRow]] = []
        journal: list[list[dict[str, Any]]] = []
        upper, count = last + 1, 0
        while upper > first and count <= MOST_INPUTS and not (events and self._before(upper, begin)):
            lower = max(first, upper - PIECE)
            here = (lower, upper)
            events.append(self._events(sources, here))
            journal.append(self._journal(rules, here))
            count += len(events[-1]) + len(journal[-1])
            upper = lower
        return Inputs(
            [row for page in reversed(events) for row in page if begin <= row[1] <= until],
            [row for page in reversed(journal) for row in page if begin <= row["at"] <= until],
            count <= MOST_INPUTS,
        )

    def _span(self) -> tuple[int, int]:
        ends = [self._rows(select(func.min(table.c.seq), func.max(table.c.seq)))[0] for table in (t.events, t.journal)]
        known = [(low, high) for low, high in ends if low is not None]
        if not known:
            return 0, -1
        return min(low for low, _ in known), max(high for _, high in known)

    def _events(self, sources: Collection[str], within: tuple[int, int]) -> list[EventRow]:
        c = t.events.c
        query = select(*_EVENT).where(c.seq >= within[0], c.seq < within[1], c.source.in_(sources))
        return [tuple(row) for row in self._rows(query.order_by(c.seq))]

    def _journal(self, rules: Collection[str], within: tuple[int, int]) -> list[dict[str, Any]]:
        c = t.journal.c
        query = select(t.journal).where(c.seq >= within[0], c.seq < within[1], c.rule.in_(rules))
        return self._maps(query.order_by(c.seq))

    def _before(self, seq: int, begin: float) -> bool:
        """Whether all inputs before ``seq`` are older than ``begin``."""
        for table in (t.events, t.journal):
            before = self._rows(select(table.c.at).where(table.c.seq < seq).order_by(table.c.seq.desc()).limit(1))
            if before and before[0].at >= begin:
                return False
        return True
