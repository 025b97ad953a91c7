"""How far back the ledger can tell what was counted: what was pruned leaves a mark, as do keys that are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import select

from retrainer.rules.state import decode
from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Connection

_PRUNED_TO = "ledger/pruned_to"
_SLOTS_PRUNED_TO = "slots/pruned_to"


def note_pruned(conn: Connection, seq: int, at: float) -> None:
    """Events up to this one, which arrived then, are removed from the ledger; not all of them need be."""
    _put(conn, statements.PRUNED_SEQ, max(seq, _get(conn, statements.PRUNED_SEQ) or 0))
    _put(conn, _PRUNED_TO, max(at, pruned_to(conn) or 0.0))


def pruned_to(conn: Connection) -> float | None:
    """When the last event arrived that the ledger has lost; None if it still has all."""
    at: float | None = _get(conn, _PRUNED_TO)
    return at


def note_first_seen(conn: Connection, rule: str) -> None:
    """A state of the rule is about to go, and with it since when the rule counts."""
    seen_at = first_seen(conn, rule)
    if seen_at is not None:
        _put(conn, _first_seen(rule), seen_at)


def first_seen(conn: Connection, rule: str) -> float | None:
    """When the first of a rule's states was made, also if it was forgotten since."""
    known: float | None = _get(conn, _first_seen(rule))
    if known is not None:
        return known
    c = t.states.c
    row = conn.execute(select(c.state).where(c.rule == rule).order_by(c.id).limit(1)).first()
    return decode(row.state).seen_at if row else None


def note_slots_pruned(conn: Connection, slot: float) -> None:
    """Records of slots up to this one are removed; not all of them need be."""
    _put(conn, _SLOTS_PRUNED_TO, max(slot, _get(conn, _SLOTS_PRUNED_TO) or 0.0))


def slots_forgotten(conn: Connection, rule: str) -> tuple[float, float] | None:
    """After when and up to when a slot of the rule may have had a record that is removed; None if none has."""
    to, since = _get(conn, _SLOTS_PRUNED_TO), first_seen(conn, rule)
    return (since, to) if to is not None and since is not None and since < to else None


def _first_seen(rule: str) -> str:
    return f"first_seen/{rule}"


def _get(conn: Connection, name: str) -> Any:
    value = conn.execute(select(t.meta.c.value).where(t.meta.c.name == name)).scalar()
    return orjson.loads(value) if value is not None else None


def _put(conn: Connection, name: str, value: float) -> None:
    statements.put_all(conn, t.meta, [{"name": name, "value": orjson.dumps(value).decode()}])
