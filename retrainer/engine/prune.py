"""Retention: what is past its time goes, in small transactions; what a pending window or a live run needs stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from sqlalchemy import and_, delete, func, select

from retrainer.engine import horizon
from retrainer.engine.forget import Forgetter
from retrainer.rules.state import decode
from retrainer.store import tables as t

if TYPE_CHECKING:
    from sqlalchemy import Column, Table

    from retrainer.config.settings import Store as StoreSettings
    from retrainer.engine.work import Work

CHUNK = 2000
"""Rows of each kind that one transaction removes at most."""


class Pruner:
    """Goes through the ledger from its oldest event on, and begins again once it is through."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._after = 0
        self._forgetter = Forgetter()

    def prune(self, work: Work, size: int) -> bool:
        """Remove one chunk of each kind; true if there may be more. ``size`` is the store's, in bytes."""
        cutoff = work.now - self._settings.ledger_max_age
        removed = [
            _identities(work),
            _dead_letters(work, self._settings.max_dead_letters),
            _old(work, t.decisions, t.decisions.c.last_at, cutoff),
            _old(work, t.journal, t.journal.c.at, cutoff),
            _slots(work, cutoff),
            _old(work, t.requests, t.requests.c.at, cutoff),
            _runs(work, cutoff),
        ]
        more = self._forgetter.forget(work)
        more = self._events(work, cutoff, too_large=size > self._settings.ledger_max_size) or more
        return more or max(removed) >= CHUNK

    def _events(self, work: Work, cutoff: float, *, too_large: bool) -> bool:
        """Oldest first; an input of a pending window or of a live run protects its event.

        A store that is too large gives one chunk a call: its file shrinks in use, not in size, so this must end.
        """
        c = t.events.c
        query = select(c.seq).where(c.seq > self._after).order_by(c.seq).limit(CHUNK)
        seqs = list(work.conn.execute(query if too_large else query.where(c.at < cutoff)).scalars())
        if not seqs:
            self._after = 0
            return False
        self._after = seqs[-1]
        kept = _needed(work, seqs[0], seqs[-1])
        inputs = t.inputs.c.seq.between(seqs[0], seqs[-1])
        work.conn.execute(delete(t.inputs).where(inputs, t.inputs.c.seq.not_in(kept)))
        gone = (c.seq.between(seqs[0], seqs[-1]), c.seq.not_in(kept))
        seq, at = work.conn.execute(select(func.max(c.seq), func.max(c.at)).where(*gone)).one()
        if seq is not None:
            horizon.note_pruned(work.conn, seq, at)
        work.conn.execute(delete(t.events).where(*gone))
        return len(seqs) == CHUNK and not too_large


def _old(work: Work, table: Table, moment: Column[float], cutoff: float) -> int:
    keys = list(table.primary_key.columns)
    rows = work.conn.execute(select(*keys).where(moment < cutoff).limit(CHUNK)).all()
    for row in rows:
        work.conn.execute(delete(table).where(and_(*(k == v for k, v in zip(keys, row, strict=True)))))
    return len(rows)


def _slots(work: Work, cutoff: float) -> int:
    """What is forgotten leaves a mark: a slot without a record is not taken for one that never ran."""
    c = t.slots.c
    newest = work.conn.execute(select(func.max(c.until)).where(c.at < cutoff)).scalar()
    if newest is None:
        return 0
    horizon.note_slots_pruned(work.conn, newest)
    return _old(work, t.slots, c.at, cutoff)


def _identities(work: Work) -> int:
    c = t.identities.c
    gone = select(c.source, c.id).where(c.forget_at < work.now).limit(CHUNK)
    rows = work.conn.execute(gone).all()
    for source, identity in rows:
        work.conn.execute(delete(t.identities).where(c.source == source, c.id == identity))
    return len(rows)


def _dead_letters(work: Work, most: int) -> int:
    c = t.dead_letters.c
    excess = work.conn.execute(select(func.count()).select_from(t.dead_letters)).scalar_one() - most
    if excess <= 0:
        return 0
    oldest = select(c.id).order_by(c.id).limit(min(excess, CHUNK))
    gone = work.conn.execute(delete(t.dead_letters).where(c.id.in_(oldest))).rowcount
    work.tell("dead_letters.dropped", count=gone)
    return gone


def _runs(work: Work, cutoff: float) -> int:
    c = t.runs.c
    old = select(c.id).where(c.ended_at < cutoff, c.released).limit(CHUNK)
    return work.conn.execute(delete(t.runs).where(c.id.in_(old))).rowcount


def _needed(work: Work, lo: int, hi: int) -> set[int]:
    """Seqs that a pending window or a live run still refers to, also if it is this transaction that brought it."""
    work.flush_runs()
    ranges: list[tuple[int, int, int]] = []
    for entry in work.changed.values():
        ranges += [(entry.id, a, b) for a, b in entry.state.window.ranges if a <= hi and b >= lo]
    for row in work.conn.execute(select(t.states.c.id, t.states.c.state)):
        ranges += [(row.id, a, b) for a, b in decode(row.state).window.ranges if a <= hi and b >= lo]
    live = select(t.runs.c.window, t.states.c.id).join(
        t.states, and_(t.states.c.rule == t.runs.c.rule, t.states.c.key == t.runs.c.key)
    )
    for row in work.conn.execute(live.where(t.runs.c.ended_at.is_(None))):
        ranges += [(row.id, a, b) for a, b in orjson.loads(row.window).get("ranges", ()) if a <= hi and b >= lo]
    needed: set[int] = set()
    for state, a, b in ranges:
        inside = t.inputs.c.seq.between(max(a, lo), min(b, hi))
        needed.update(work.conn.execute(select(t.inputs.c.seq).where(t.inputs.c.state == state, inside)).scalars())
    return needed
