"""Positions of source partitions: owner epoch and next offset. The store is authoritative, not the broker."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, insert, select, update

from retrainer.sources.base import Claimed, OffsetRange
from retrainer.store import tables as t

_C = t.positions.c
_MOVE = (
    update(t.positions)
    .where(
        _C.source == bindparam("b_source"),
        _C.partition == bindparam("b_part"),
        _C.next == bindparam("b_begin"),
        _C.owner_epoch == bindparam("b_epoch"),
    )
    .values(next=bindparam("next"))
)


def claim(conn: Connection, source: str, part: str, topic_id: str, start: int | None) -> Claimed:
    """See `retrainer.sources.base.Intake.claim`."""
    here = (_C.source == source, _C.partition == part)
    row = conn.execute(select(_C.next, _C.owner_epoch, _C.topic_id).where(*here)).first()
    if row is None:
        if start is None:
            return Claimed(None, 0, topic_id)
        values = {"source": source, "partition": part, "next": start, "owner_epoch": 1, "topic_id": topic_id}
        conn.execute(insert(t.positions).values(values))
        return Claimed(start, 1, topic_id)
    if row.topic_id != topic_id:
        return Claimed(row.next, row.owner_epoch, row.topic_id)
    conn.execute(update(t.positions).where(*here).values(owner_epoch=row.owner_epoch + 1))
    return Claimed(row.next, row.owner_epoch + 1, row.topic_id)


def move(conn: Connection, source: str, offsets: OffsetRange) -> bool:
    """Move the position by compare-and-set. Return False if the epoch or the stored position differs."""
    values = {
        "b_source": source,
        "b_part": offsets.part,
        "b_begin": offsets.begin,
        "b_epoch": offsets.epoch,
        "next": offsets.next,
    }
    return conn.execute(_MOVE, values).rowcount == 1


def reset(conn: Connection, source: str, part: str, topic_id: str, following: int) -> None:
    """Set the position to ``following`` on an operator's decision. The current owner loses its claim and must reclaim.

    Raise LookupError if the partition is unknown.
    """
    where = (_C.source == source, _C.partition == part)
    values = {"next": following, "topic_id": topic_id, "owner_epoch": _C.owner_epoch + 1}
    if conn.execute(update(t.positions).where(*where).values(values)).rowcount != 1:
        raise LookupError(f"source {source} has no partition {part}")


def known(conn: Connection, source: str) -> dict[str, int]:
    """Return the next offset of each partition of a source."""
    return dict(conn.execute(select(_C.partition, _C.next).where(_C.source == source)).all())
