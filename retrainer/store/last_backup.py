"""The last backup that was reported: a record in the store, so that its age is known after a restart too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME = "backup/last"


def last_backup(conn: Connection) -> dict[str, Any] | None:
    """Return `at` (the time of its content, epoch seconds), `bytes` and `place`; None if none was reported."""
    value = conn.execute(select(t.meta.c.value).where(t.meta.c.name == _NAME)).scalar()
    return orjson.loads(value) if value is not None else None


def note_backup(conn: Connection, at: float, size: int, place: str) -> None:
    """Record a complete backup, unless a later one is recorded."""
    known = last_backup(conn)
    if known is None or known["at"] <= at:
        value = orjson.dumps({"at": at, "bytes": size, "place": place}).decode()
        statements.put_all(conn, t.meta, [{"name": _NAME, "value": value}])


def known_since(conn: Connection) -> float | None:
    """Return the time of the last backup; without one, when the first state was created. None if there is none yet."""
    known = last_backup(conn)
    if known is not None:
        return float(known["at"])
    state = conn.execute(select(t.states.c.state).order_by(t.states.c.id).limit(1)).scalar()
    return float(orjson.loads(state)["seen_at"]) if state is not None else None
