"""Counts of events by time, source and outcome. A range of the ledger is counted per read, as the engine waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Integer, cast, func, select

from retrainer.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Connection

CELL = 300
"""Seconds of a cell, the unit of counting."""
_C = t.events.c


class Cell(NamedTuple):
    """``number`` events of one source and outcome, received in the `CELL` seconds from ``begin`` times `CELL` on."""

    begin: int
    source: str
    outcome: str
    number: int


def cells(conn: Connection, first: int, last: int) -> list[Cell]:
    """Count the events whose `seq` is from ``first`` to ``last``."""
    share = _C.at / CELL  # SQLite cuts off, PostgreSQL rounds
    begin = cast(func.floor(share) if conn.dialect.name == "postgresql" else share, Integer).label("begin")
    query = select(begin, _C.source, _C.outcome, func.count()).where(_C.seq.between(first, last))
    return [Cell(*row) for row in conn.execute(query.group_by(begin, _C.source, _C.outcome))]


def ends(conn: Connection) -> tuple[int, float, int] | None:
    """Return `seq` and time of arrival (epoch seconds) of the oldest event, and `seq` of the newest; None without."""
    oldest = conn.execute(select(_C.seq, _C.at).order_by(_C.seq).limit(1)).first()
    return (oldest.seq, oldest.at, conn.execute(select(func.max(_C.seq))).scalar_one()) if oldest is not None else None
