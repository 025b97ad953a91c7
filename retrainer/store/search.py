"""Events that bear a name: by index where there is one, else a stretch of the ledger a call.

Each function is one short read, as the engine waits while it runs; whoever asks calls them one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

PIECE = 4_000
"""Numbers of events that one call of `by_subject` looks at."""
_C = t.events.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """Events of that number, id, subject or object (``bucket/key``).

    ``below`` is a number: only events before it; ``since`` and ``until`` bound when they were taken in, in seconds
    since the epoch.
    """

    text: str
    source: str | None = None
    below: int | None = None
    since: float | None = None
    until: float | None = None
    limit: int = 5


def sources(conn: Connection) -> list[str]:
    """The sources of all events, by one look into the index for each of them."""
    found: list[str] = []
    while True:
        beyond = [_C.source > found[-1]] if found else []
        following = conn.execute(select(_C.source).where(*beyond).order_by(_C.source).limit(1)).scalar()
        if following is None:
            return found
        found.append(following)


def by_id(conn: Connection, source: str, identity: str, below: int, limit: int) -> list[int]:
    """The newest events of a source with that id."""
    return _newest(conn, [_C.source == source, _C.id == identity, _C.seq < below], limit)


def by_beginning(conn: Connection, source: str, beginning: str, below: int, limit: int) -> list[int]:
    """The newest among the first thousand events of a source whose ids begin so."""
    ids = select(_C.seq).where(_C.source == source, _C.id >= beginning, _C.id < beginning + "\U0010ffff")
    few = ids.order_by(_C.id).limit(1000).subquery()
    query = select(few.c.seq).where(few.c.seq < below).order_by(few.c.seq.desc()).limit(limit)
    return list(conn.execute(query).scalars())


def by_number(conn: Connection, seq: int, source: str | None) -> list[int]:
    return _newest(conn, [_C.seq == seq, *([_C.source == source] if source is not None else [])], 1)


def by_subject(conn: Connection, subject: str, source: str | None, below: int, limit: int) -> tuple[list[int], int]:
    """The newest events of that subject in one stretch below a number, and where that ends; 0 where the ledger does."""
    top = conn.execute(select(func.max(_C.seq)).where(_C.seq < below)).scalar()
    if top is None:
        return [], 0
    end = max(top - PIECE + 1, 0)
    of_source = [_C.source == source] if source is not None else []
    found = _newest(conn, [_C.seq.between(end, top), _C.subject == subject, *of_source], limit)
    return found, found[-1] if len(found) == limit else end


def number_at(conn: Connection, moment: float) -> int:
    """The number of the first event that was taken in at a moment or later, by halving; one beyond the last if none."""
    lo, hi = (conn.execute(select(end(_C.seq))).scalar() or 0 for end in (func.min, func.max))
    hi += 1
    while lo < hi:
        middle = (lo + hi) // 2
        row = conn.execute(select(_C.seq, _C.at).where(_C.seq >= middle).order_by(_C.seq).limit(1)).first()
        if row is None or row.at >= moment:
            hi = middle
        else:
            lo = row.seq + 1
    return lo


def _newest(conn: Connection, wanted: Sequence[ColumnElement[bool]], limit: int) -> list[Any]:
    return list(conn.execute(select(_C.seq).where(*wanted).order_by(_C.seq.desc()).limit(limit)).scalars())
