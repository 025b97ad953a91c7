"""Which replicas read a source: a row for each, renewed every second. A source's parts are divided among them.

The rows only divide the work. What keeps two readers apart is the claim of a part; see `engine.parts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select

from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Connection

LEASE = 3.0
"""Seconds without a renewal after which a reader's parts go to the others."""
FORGET = 60.0
_C = t.readers.c


def renew(conn: Connection, source: str, reader: str, now: float) -> list[str]:
    """Record that ``reader`` reads a source; return all that do, in the same order for each of them.

    ``now`` is in seconds since the epoch, by the clock that all readers share. A renewal that lies ahead of it was made
    before that clock was set back: it counts like one that has run out.
    """
    statements.put_all(conn, t.readers, [{"source": source, "reader": reader, "renewed_at": now}])
    conn.execute(delete(t.readers).where(or_(_C.renewed_at < now - FORGET, _C.renewed_at > now + FORGET)))
    live = _C.renewed_at.between(now - LEASE, now + LEASE)
    return list(conn.execute(select(_C.reader).where(_C.source == source, live).order_by(_C.reader)).scalars())


def leave(conn: Connection, source: str, reader: str) -> None:
    conn.execute(delete(t.readers).where(_C.source == source, _C.reader == reader))
