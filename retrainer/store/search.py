"""Search for events by name: by an index if there is one, else one range of the ledger per call.

Each function is one short read, because the engine waits while it runs. The caller combines them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from retrainer.store import pages
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement, Connection

PIECE = 4_000
"""Length of the range of `seq` that one call of `by_subject` examines."""
_C = t.events.c


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A search: ``text`` is a `seq`, id, subject or object (``bucket/key``).

    ``below``: only events with a smaller `seq`. ``since`` and ``until`` limit the time of arrival, in epoch seconds.
    """

    text: str
    source: str | None = None
    below: int | None = None
    since: float | None = None
    until: float | None = None
    limit: int = 5


def sources(conn: Connection) -> list[str]:
    """Return the sources of all events, with one index lookup for each."""
    found: list[str] = []
    while True:
        beyond = [_C.source > found[-1]] if found else []
        following = conn.execute(select(_C.source).where(*beyond).order_by(_C.source).limit(1)).scalar()
        if following is None:
            return found
        found.append(following)


def by_id(conn: Connection, source: str, identity: str, below: int, limit: int) -> list[int]:
    """Return the newest events (`seq`) of a source with this id."""
    return _newest(conn, [_C.source == source, _C.id == identity, _C.seq < below], limit)


def by_beginning(conn: Connection, source: str, beginning: str, below: int, limit: int) -> list[int]:
    """Return the newest (`seq`) of the first thousand events of a source whose ids have this prefix."""
    ids = select(_C.seq).where(_C.source == source, _C.id >= beginning, _C.id < beginning + "\U0010ffff")
    few = ids.order_by(_C.id).limit(1000).subquery()
    query = select(few.c.seq).where(few.c.seq < below).order_by(few.c.seq.desc()).limit(limit)
    return list(conn.execute(query).scalars())


def by_number(conn: Connection, seq: int, source: str | None) -> list[int]:
    return _newest(conn, [_C.seq == seq, *([_C.source == source] if source is not None else [])], 1)


def by_subject(conn: Connection, subject: str, source: str | None, below: int, limit: int) -> tuple[list[int], int]:
    """Return the newest events (`seq`) with this subject in one range below ``below``, and the start of that range.

    The start is 0 at the end of the ledger.
    """
    top = conn.execute(select(func.max(_C.seq)).where(_C.seq < below)).scalar()
    if top is None:
        return [], 0
    end = max(top - PIECE + 1, 0)
    of_source = [_C.source == source] if source is not None else []
    found = _newest(conn, [_C.seq.between(end, top), _C.subject == subject, *of_source], limit)
    return found, found[-1] if len(found) == limit else end


def number_at(conn: Connection, moment: float) -> int:
    """Return the `seq` of the first event that arrived at or after ``moment``; last `seq` + 1 if none."""
    return pages.number_at(conn, _C.seq, _C.at, moment)


def _newest(conn: Connection, wanted: Sequence[ColumnElement[bool]], limit: int) -> list[Any]:
    return list(conn.execute(select(_C.seq).where(*wanted).order_by(_C.seq.desc()).limit(limit)).scalars())
