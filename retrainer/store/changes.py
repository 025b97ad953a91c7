"""What changed in the store since it was last read: names of rules and ids of runs, never data.

It reads the ends of the ledger, of the journal and of the runs that have not ended. All are found by an index, so the
cost does not depend on how much is stored. Every replica reads the same, whichever of them wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import func, select

from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Column, Connection, Row

_EVENTS, _JOURNAL, _RUNS = t.events.c, t.journal.c, t.runs.c
MOST_ROWS = 500
"""Rows of the ledger, and of the journal, that are read at once. With more, anything may have changed."""
MOST_RUNS = 1000
"""Runs without an end that are compared."""


@dataclass(frozen=True, slots=True)
class StoreMark:
    """How far the store was read. ``runs``: those without an end, by id, with what is shown of them while they run."""

    seq: int
    runs: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed. ``runs``: the rule of each, by id. ``everything``: too much to name."""

    rules: frozenset[str] = frozenset()
    runs: Mapping[str, str] = field(default_factory=dict)
    events: bool = False
    everything: bool = False

    def __bool__(self) -> bool:
        return bool(self.rules or self.runs or self.events or self.everything)


def changed_since(conn: Connection, mark: StoreMark | None) -> tuple[StoreMark, Changed]:
    """Return the mark of now, and what changed since the given one; nothing without one."""
    runs = {
        row.id: (row.rule, row.phase, row.progress)
        for row in conn.execute(
            select(_RUNS.id, _RUNS.rule, _RUNS.phase, _RUNS.progress)
            .where(_RUNS.ended_at.is_(None))
            .order_by(_RUNS.id.desc())
            .limit(MOST_RUNS)
        )
    }
    if mark is None:
        return StoreMark(_last(conn), runs), Changed()
    events = _after(conn, mark.seq, _EVENTS.seq, _EVENTS.rules)
    others = _after(conn, mark.seq, _JOURNAL.seq, _JOURNAL.rule)
    if max(len(events), len(others)) == MOST_ROWS:
        return StoreMark(_last(conn), runs), Changed(everything=True)
    known = {**mark.runs, **runs}
    moved = {run: rule for run, (rule, *_) in known.items() if runs.get(run) != mark.runs.get(run)}
    rules = {rule for event in events for rule, _ in orjson.loads(event.rules)}
    rules |= {row.rule for row in others if row.rule} | set(moved.values())
    seq = max((row.seq for row in (*events, *others)), default=mark.seq)
    return StoreMark(seq, runs), Changed(frozenset(rules), moved, bool(events))


def _after(conn: Connection, mark: int, seq: Column[int], shown: Column[str]) -> Sequence[Row[int, str]]:
    return conn.execute(select(seq, shown).where(seq > mark).order_by(seq).limit(MOST_ROWS)).all()


def _last(conn: Connection) -> int:
    return max(conn.execute(select(func.max(column))).scalar() or 0 for column in (_EVENTS.seq, _JOURNAL.seq))
