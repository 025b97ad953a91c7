"""Retention marks: how far back the ledger is complete. Pruned events and forgotten keys each leave a mark."""

from __future__ import annotations

import orjson
from sqlalchemy import Connection, select

from retrainer.rules.state import decode
from retrainer.store import statements
from retrainer.store import tables as t

_PRUNED_TO = "ledger/pruned_to"
_SLOTS_PRUNED_TO = "slots/pruned_to"
_FIRST_SEEN = "first_seen/"


def note_pruned(conn: Connection, seq: int, at: float) -> None:
    """Record that events up to ``seq``, which arrived at ``at``, were pruned from the ledger. Some may remain."""
    _put(conn, statements.PRUNED_SEQ, max(seq, _get(conn, statements.PRUNED_SEQ) or 0))
    _put(conn, _PRUNED_TO, max(at, pruned_to(conn) or 0.0))


def pruned_to(conn: Connection) -> float | None:
    """Return when the newest pruned event arrived (epoch seconds), or None if nothing was pruned."""
    return _get(conn, _PRUNED_TO)


def note_first_seen(conn: Connection, rule: str) -> None:
    """Keep `first_seen` of the rule before one of its states is deleted."""
    seen_at = first_seen(conn, rule)
    if seen_at is not None:
        _put(conn, f"{_FIRST_SEEN}{rule}", seen_at)


def first_seen(conn: Connection, rule: str) -> float | None:
    """Return when the first state of the rule was created, even if it was forgotten since; None without states."""
    known = _get(conn, f"{_FIRST_SEEN}{rule}")
    if known is not None:
        return known
    c = t.states.c
    row = conn.execute(select(c.state).where(c.rule == rule).order_by(c.id).limit(1)).first()
    return decode(row.state).seen_at if row else None


def note_slots_pruned(conn: Connection, slot: float) -> None:
    """Record that slot records up to ``slot`` were pruned. Some may remain."""
    _put(conn, _SLOTS_PRUNED_TO, max(slot, _get(conn, _SLOTS_PRUNED_TO) or 0.0))


def slots_forgotten(conn: Connection, rule: str) -> tuple[float, float] | None:
    """Return the interval (after, up to) in which records of the rule's slots may have been pruned; None if none."""
    to, since = _get(conn, _SLOTS_PRUNED_TO), first_seen(conn, rule)
    return (since, to) if to is not None and since is not None and since < to else None


def _get(conn: Connection, name: str) -> float | None:
    value = conn.execute(select(t.meta.c.value).where(t.meta.c.name == name)).scalar()
    return orjson.loads(value) if value is not None else None


def _put(conn: Connection, name: str, value: float) -> None:
    statements.put_all(conn, t.meta, [{"name": name, "value": orjson.dumps(value).decode()}])
