"""Delete the states of keys without events and runs for `forget_after`, to make room for other keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, delete, select

from retrainer.engine.retention import retention_marks
from retrainer.rules.state import State, decode
from retrainer.store import tables as t

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction

PAGE = 500
SHORTEST_REST, LONGEST_REST = 60.0, 3600.0


class Forgetter:
    """Scans the states of all keys, one page per call, and rests between two rounds to limit the cost."""

    def __init__(self) -> None:
        self._after = 0
        self._next_round = 0.0

    def forget(self, tx: Transaction) -> bool:
        """Scan one page. Return True if this round may have more."""
        allowed = _allowed(tx)
        if not allowed or tx.now < self._next_round:
            return False
        c = t.states.c
        query = select(c.id, c.rule, c.key, c.touched_at).where(c.id > self._after, c.key != "").order_by(c.id)
        rows = tx.conn.execute(query.limit(PAGE)).all()
        # A state that was written recently cannot be idle: it need not be read.
        old = [row for row in rows if row.rule in allowed and row.touched_at < tx.now - allowed[row.rule]]
        states = dict(tx.conn.execute(select(c.id, c.state).where(c.id.in_([row.id for row in old]))).all())
        for row in old:
            if (row.rule, row.key) in tx.states.changed:
                continue  # changed in this transaction; the stored state is out of date
            if _idle(decode(states[row.id]), tx.now - allowed[row.rule]):
                _forget(tx, row)
        if len(rows) == PAGE:
            self._after = rows[-1].id
            return True
        self._after = 0
        self._next_round = tx.now + min(max(min(allowed.values()) / 10, SHORTEST_REST), LONGEST_REST)
        return False


def _allowed(tx: Transaction) -> dict[str, float]:
    rules = ((name, rule.rule.for_each) for name, rule in tx.catalog.rules.items())
    return {name: for_each.forget_after for name, for_each in rules if for_each is not None}


def _idle(state: State, since: float) -> bool:
    """Whether nothing is pending or active, and the last activity was before ``since``."""
    moments = (state.seen_at, state.heard_at, state.last_fired, state.last_completed)
    waits = state.window.events or state.asked or state.due or any(c.due for c in state.cursors.values())
    return not waits and not state.active and max(m for m in moments if m is not None) < since


def _forget(tx: Transaction, row: Row[*tuple[Any, ...]]) -> None:
    tx.states.forget(row.rule, row.key)
    retention_marks.note_first_seen(tx.conn, row.rule)
    tx.conn.execute(delete(t.inputs).where(t.inputs.c.state == row.id))
    tx.conn.execute(delete(t.distincts).where(t.distincts.c.state == row.id))
    tx.conn.execute(delete(t.states).where(t.states.c.id == row.id))
