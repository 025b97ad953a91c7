"""Retention: delete expired rows in small transactions. Events that a pending window or a live run needs are kept.

Every query uses an index, from its oldest end. If nothing is expired, it reads one row of each kind, whatever the size
of the ledger.
"""

from __future__ import annotations

import math
from itertools import groupby, takewhile
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, ColumnElement, Row, Select, Table, and_, bindparam, delete, func, select

from retrainer.engine.core.notifications import DeadLettersDropped
from retrainer.engine.retention import retention_marks
from retrainer.engine.retention.forget import Forgetter
from retrainer.engine.retention.protected import claims_on, drop_inputs
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrainer.config.settings import Store as StoreSettings
    from retrainer.engine.core.transaction import Transaction

CHUNK = 2000
"""Maximum rows of each kind that one transaction deletes."""
FEWEST = 20
MOST_ACTIVITY = 100_000
"""Rows of activity that are kept, whatever their age."""
BUDGET = 0.1
"""Seconds that one transaction may take. If rows are large, it deletes fewer of them."""
REST, LONGEST_REST = 1.0, 3600.0
"""Seconds until expired events that were still needed are checked again: per chunk of them, and at most."""


class Pruner:
    """Deletes one chunk of each kind per call, in turns. ``monotonic`` returns seconds of a monotonic clock."""

    def __init__(self, settings: StoreSettings, monotonic: Callable[[], float]) -> None:
        self._settings, self._monotonic = settings, monotonic
        self._after = 0
        """Events up to this seq were checked in this round. Those that remain were still needed."""
        self._left = 0
        """Number of events kept in this round."""
        self._through = False
        self._next_round = 0.0
        self._forgetter = Forgetter()
        self._chunk = CHUNK
        self._turn = 0

    def prune(self, tx: Transaction, size: int) -> bool:
        """Delete one chunk of each kind in bounded time. Return True if there may be more.

        ``size`` is the size of the store in bytes. If it is too large, each call deletes at most one chunk that is not
        expired, so that the size is measured again before the next.
        """
        began = self._monotonic()
        cutoff = tx.now - self._settings.ledger_max_age
        kinds = self._kinds(cutoff, too_large=size > self._settings.ledger_max_size)
        more = False
        for _ in kinds:
            before = self._monotonic()
            more = kinds[self._turn % len(kinds)](tx) or more
            self._turn = (self._turn + 1) % len(kinds)
            now = self._monotonic()
            self._adapt(now - before)
            if now - began > BUDGET:
                return True
        return more

    def _adapt(self, seconds: float) -> None:
        if seconds > BUDGET:
            self._chunk = max(self._chunk // 4, FEWEST)
        elif seconds < BUDGET / 4:
            self._chunk = min(self._chunk * 2, CHUNK)

    def _kinds(self, cutoff: float, *, too_large: bool) -> Sequence[Callable[[Transaction], bool]]:
        def old(table: Table, moment: Column[float], before: float | None = None) -> Callable[[Transaction], bool]:
            limit = cutoff if before is None else before
            return lambda tx: self._old(tx, table, moment < limit, moment)

        released = and_(t.runs.c.ended_at < cutoff, t.runs.c.released)
        return (
            lambda tx: old(t.identities, t.identities.c.forget_at, tx.now)(tx),
            self._dead_letters,
            old(t.decisions, t.decisions.c.last_at),
            lambda tx: self._journal(tx, cutoff, too_large=too_large),
            lambda tx: self._slots(tx, cutoff),
            old(t.requests, t.requests.c.at),
            old(t.activity, t.activity.c.at),
            self._activity,
            lambda tx: self._old(tx, t.runs, released, t.runs.c.ended_at),
            self._forgetter.forget,
            lambda tx: self._events(tx, cutoff, too_large=too_large),
        )

    def _events(self, tx: Transaction, cutoff: float, *, too_large: bool) -> bool:
        """Delete events, oldest first. Those still needed are kept, and checked again after a rest."""
        if self._through and tx.now >= self._next_round:
            self._after, self._left, self._through = 0, 0, False
        c = t.events.c
        query = select(c.seq, c.at, c.rules).where(c.seq > self._after).order_by(c.seq)
        rows = self._oldest(tx, query, None if too_large else cutoff)
        if rows:
            self._after = rows[-1].seq
            self._left += len(rows) - self._drop(tx, rows)
        full = len(rows) == self._chunk
        if not full and not self._through:
            self._through = True
            self._next_round = tx.now + min(math.ceil(self._left / CHUNK) * REST, LONGEST_REST)
        return full and not too_large

    @staticmethod
    def _drop(tx: Transaction, rows: Sequence[Row[Any]]) -> int:
        """Delete the events that are no longer needed. Return their number."""
        claims = claims_on(tx, [(row.seq, row.rules) for row in rows])
        needed = claims.needed
        gone = [row for row in rows if row.seq not in needed]
        if gone:
            drop_inputs(tx, claims, [row.seq for row in gone])
            retention_marks.note_pruned(tx.conn, gone[-1].seq, max(row.at for row in gone))
            _delete_events(tx, rows, needed)
        return len(gone)

    def _journal(self, tx: Transaction, cutoff: float, *, too_large: bool) -> bool:
        c = t.journal.c
        rows = self._oldest(tx, select(c.seq, c.at).order_by(c.seq), None if too_large else cutoff)
        if rows:
            tx.conn.execute(delete(t.journal).where(c.seq <= rows[-1].seq))
        return len(rows) == self._chunk and not too_large

    def _oldest(self, tx: Transaction, query: Select[Any], cutoff: float | None) -> Sequence[Any]:
        """Return the first chunk of rows, limited to those before ``cutoff``. Row numbers are in order of time."""
        first = tx.conn.execute(query.limit(1)).first()
        if first is None or (cutoff is not None and first.at >= cutoff):
            return ()
        rows = tx.conn.execute(query.limit(self._chunk)).all()
        return rows if cutoff is None else list(takewhile(lambda row: row.at < cutoff, rows))

    def _slots(self, tx: Transaction, cutoff: float) -> bool:
        """Delete slot records and keep a mark, so that a slot without a record is not taken for one that never ran."""
        c = t.slots.c
        oldest = select(c.until).where(c.at < cutoff).order_by(c.at).limit(self._chunk)
        newest = tx.conn.execute(select(func.max(oldest.subquery().c.until))).scalar()
        if newest is None:
            return False
        retention_marks.note_slots_pruned(tx.conn, newest)
        return self._old(tx, t.slots, c.at < cutoff, c.at)

    def _old(self, tx: Transaction, table: Table, where: ColumnElement[bool], moment: Column[Any]) -> bool:
        keys = list(table.primary_key.columns)
        rows = tx.conn.execute(select(*keys).where(where).order_by(moment).limit(self._chunk)).all()
        if rows:
            this = and_(*(key == bindparam(f"b_{n}") for n, key in enumerate(keys)))
            values = [{f"b_{n}": value for n, value in enumerate(row)} for row in rows]
            tx.conn.execute(delete(table).where(this), values)
        return len(rows) == self._chunk

    def _activity(self, tx: Transaction) -> bool:
        excess = tx.conn.execute(select(func.count()).select_from(t.activity)).scalar_one() - MOST_ACTIVITY
        if excess <= 0:
            return False
        c = t.activity.c
        newest = select(c.id).order_by(c.id).offset(min(excess, self._chunk) - 1).limit(1)
        tx.conn.execute(delete(t.activity).where(c.id <= newest.scalar_subquery()))
        return excess > self._chunk

    def _dead_letters(self, tx: Transaction) -> bool:
        c = t.dead_letters.c
        kept = tx.conn.execute(select(func.count()).select_from(t.dead_letters)).scalar_one()
        excess = kept - self._settings.max_dead_letters
        if excess <= 0:
            return False
        newest = select(c.id).order_by(c.id).offset(min(excess, self._chunk) - 1).limit(1)
        gone = tx.conn.execute(delete(t.dead_letters).where(c.id <= newest.scalar_subquery())).rowcount
        tx.writes.emit(DeadLettersDropped(gone))
        return excess > gone


def _delete_events(tx: Transaction, rows: Sequence[Row[Any]], needed: set[int]) -> None:
    """Delete the rows that are not needed, with one statement for each contiguous range."""
    ranges = [list(group) for gone, group in groupby(rows, lambda row: row.seq not in needed) if gone]
    within = t.events.c.seq.between(bindparam("b_lo"), bindparam("b_hi"))
    tx.conn.execute(delete(t.events).where(within), [{"b_lo": each[0].seq, "b_hi": each[-1].seq} for each in ranges])
