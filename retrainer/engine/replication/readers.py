"""Replicas that read a source: one row each, renewed every second. The partitions of a source are divided among them.

The rows only divide the work. Exclusive access is ensured by the claim of a partition; see `engine.intake.partitions`.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete, or_, select

from retrainer.store import statements
from retrainer.store import tables as t

LEASE = 3.0
"""Seconds without a renewal after which a reader's partitions go to the others."""
FORGET = 60.0
_C = t.readers.c


def renew(conn: Connection, source: str, reader: str, now: float) -> list[str]:
    """Record that ``reader`` reads a source. Return all live readers of it, in the same order for each of them.

    ``now`` is in epoch seconds of the clock that all readers share. A renewal in the future was made before that clock
    was set back: if it is more than ``LEASE`` ahead, it counts as expired.
    """
    statements.put_all(conn, t.readers, [{"source": source, "reader": reader, "renewed_at": now}])
    conn.execute(delete(t.readers).where(or_(_C.renewed_at < now - FORGET, _C.renewed_at > now + FORGET)))
    live = _C.renewed_at.between(now - LEASE, now + LEASE)
    return list(conn.execute(select(_C.reader).where(_C.source == source, live).order_by(_C.reader)).scalars())


def leave(conn: Connection, source: str, reader: str) -> None:
    conn.execute(delete(t.readers).where(_C.source == source, _C.reader == reader))
