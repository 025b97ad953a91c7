"""What is open in the store, counted: runs that need somebody, runs that ended lately, dead letters.

Each query reads a bounded number of rows, found by an index, whatever is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, func, select

from retrainer.store import tables as t
from retrainer.store.scope import ALL, Scope, among

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, Row

_RUNS, _LETTERS = t.runs.c, t.dead_letters.c
MOST_LETTERS = 1000
MOST_ENDED = 1000
MOST_LIVE = 5000
"""Rows that are counted, the newest; of live runs, those of each phase."""
MOST_LOOKED_AT = 500
"""Runs of each phase that may need somebody, the oldest."""
SLOW_START = 600.0
"""Seconds after which a Workflow that was created should have started."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts by name. ``more``: there are more rows than were counted."""

    by: Mapping[str, int]
    more: bool = False


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Dead letters of a source with one reason. ``error`` and ``at`` are those of the newest."""

    source: str
    reason: str
    count: int
    at: float
    error: str


def live_runs(conn: Connection, scope: Scope = ALL) -> Counted:
    """Count the runs that have not ended by phase."""
    newest = select(_RUNS.phase, _RUNS.namespace if scope.limited else _RUNS.id)
    newest = newest.where(_RUNS.ended_at.is_(None)).order_by(_RUNS.phase, _RUNS.id).limit(MOST_LIVE)
    return _by_phase(conn, newest, scope, MOST_LIVE)


def ended_runs(conn: Connection, since: float, scope: Scope = ALL) -> Counted:
    """Count the runs that ended since then (epoch seconds) by phase."""
    newest = select(_RUNS.phase, _RUNS.namespace).where(_RUNS.ended_at >= since)
    return _by_phase(conn, newest.order_by(_RUNS.ended_at.desc()).limit(MOST_ENDED), scope, MOST_ENDED)


def _by_phase(conn: Connection, newest: Select[Any], scope: Scope, most: int) -> Counted:
    rows = newest.subquery().c
    counted = select(rows.phase, func.count()).group_by(rows.phase)
    total = func.sum(func.count()).over()
    if not scope.limited:
        found = conn.execute(counted.add_columns(total)).all()
        return Counted({row[0]: row[1] for row in found}, bool(found) and found[0][2] >= most)
    return Counted(dict(conn.execute(counted.where(*among(rows.namespace, scope.namespaces))).all()))


_COLUMNS = (
    _RUNS.id,
    _RUNS.rule,
    _RUNS.namespace,
    _RUNS.message,
    _RUNS.created_at,
    _RUNS.submitted_at,
    _RUNS.started_at,
    _RUNS.stop_requested,
    _RUNS.submit_attempts,
)


def refused_runs(conn: Connection, limit: int, scope: Scope = ALL) -> Sequence[Row[Any]]:
    """Return runs that the workflow engine refused for now, the oldest first."""
    rows = _oldest("PENDING")
    return _of(conn, rows, and_(rows.submit_attempts > 0, rows.message != ""), limit, scope)


def slow_runs(conn: Connection, now: float, limit: int, scope: Scope = ALL) -> Sequence[Row[Any]]:
    """Return runs whose Workflow was created a while ago and has not started, the oldest first."""
    rows = _oldest("SUBMITTED")
    slow = and_(rows.stop_requested.is_(None), rows.started_at.is_(None), rows.submitted_at < now - SLOW_START)
    return _of(conn, rows, slow, limit, scope)


def stopping_runs(conn: Connection, limit: int, scope: Scope = ALL) -> Sequence[Row[Any]]:
    """Return runs that were requested to stop and have not ended, the oldest first."""
    found = [row for phase in ("SUBMITTED", "RUNNING") for row in _stopping(conn, phase, limit, scope)]
    return sorted(found, key=lambda row: str(row.id))[:limit]


def _stopping(conn: Connection, phase: str, limit: int, scope: Scope) -> Sequence[Row[Any]]:
    rows = _oldest(phase)
    return _of(conn, rows, rows.stop_requested.is_not(None), limit, scope)


def _oldest(phase: str) -> Any:
    oldest = select(*_COLUMNS).where(_RUNS.ended_at.is_(None), _RUNS.phase == phase).order_by(_RUNS.id)
    return oldest.limit(MOST_LOOKED_AT).subquery().c


def _of(conn: Connection, rows: Any, where: Any, limit: int, scope: Scope) -> Sequence[Row[Any]]:
    query = select(*rows).where(where, *among(rows.namespace, scope.namespaces))
    return conn.execute(query.order_by(rows.id).limit(limit)).all()


def dead_letter_groups(conn: Connection, scope: Scope = ALL) -> tuple[list[DeadLetterGroup], bool]:
    """Return the newest dead letters by source and reason, the newest group first, and whether there are more."""
    columns = (_LETTERS.id, _LETTERS.at, _LETTERS.source, _LETTERS.reason, _LETTERS.rule)
    rows = conn.execute(select(*columns).order_by(_LETTERS.id.desc()).limit(MOST_LETTERS)).all()
    groups: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        if scope.has_letter({"source": row.source, "rule": row.rule}):
            groups.setdefault((row.source, row.reason), []).append(row)
    ids = [letters[0].id for letters in groups.values()]
    errors = dict(conn.execute(select(_LETTERS.id, _LETTERS.error).where(_LETTERS.id.in_(ids))).all())
    found = [
        DeadLetterGroup(source, reason, len(letters), letters[0].at, errors[letters[0].id])
        for (source, reason), letters in groups.items()
    ]
    return found, len(rows) == MOST_LETTERS
