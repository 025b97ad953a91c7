"""Who holds the places of pools, and who waits for one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from retrainer.store import tables as t

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Row

_C = t.runs.c
_OPEN = (_C.ended_at.is_(None), _C.pool.is_not(None))
_WAITS = _C.admitted_at.is_(None).label("waits")


def pool_counts(conn: Connection) -> dict[tuple[str, bool], int]:
    """Return the number of runs by pool, and by whether they wait for a place."""
    query = select(_C.pool, _WAITS, func.count()).where(*_OPEN).group_by(_C.pool, _WAITS)
    return {(pool, bool(waits)): count for pool, waits, count in conn.execute(query)}


def pool_runs(conn: Connection, most: int) -> list[Row[Any]]:
    """Return at most ``most`` runs of each pool that hold a place, longest first, and as many that wait for one.

    Those that wait are in the order of `admit`: by priority, then by age.
    """
    order = (_C.admitted_at, _C.priority.desc(), _C.created_at, _C.id)
    place = func.row_number().over(partition_by=(_C.pool, _WAITS), order_by=order).label("place")
    columns = (_C.id, _C.rule, _C.key, _C.namespace, _C.pool, _C.phase, _C.priority, _C.created_at, _C.admitted_at)
    found = select(*columns, _C.not_before, _WAITS, place).where(*_OPEN).subquery()
    query = select(found).where(found.c.place <= most).order_by(found.c.pool, found.c.waits, found.c.place)
    return list(conn.execute(query))
