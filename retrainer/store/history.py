"""Reads of a rule's past, newest first. Each function is one short read; the caller combines them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson
from sqlalchemy import func, select

from retrainer.store import tables as t
from retrainer.store.pages import equal
from retrainer.store.queries import first_id
from retrainer.store.rows import event_in_part
from retrainer.store.statements import LARGE_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row, Select

    from retrainer.event import Event

PIECE = 4_000
"""Length of the range of `seq` that one call of `pushed` examines."""
_ROWS, _BYTES = 500, 256 * 1024
"""Events that one call reads at most, and bytes of their data: 10 ms."""
_EVENTS, _INPUTS, _RUNS, _DECISIONS = t.events.c, t.inputs.c, t.runs.c, t.decisions.c

Arrival: TypeAlias = "tuple[int, float, Event]"
"""The `seq` of an event, when it arrived (epoch seconds), and the event."""


class Piece(NamedTuple):
    """Arrivals, the latest first. ``reached``: they are complete back to this time (epoch seconds).

    ``following`` is where to continue, None at the end.
    """

    arrivals: list[Arrival]
    reached: float
    following: Any


def polled(conn: Connection, source: str, rule: str, digest: str, first: float, end: str) -> Piece:
    """Read results of a query that concern a rule, from ``first`` (epoch seconds) on and with ids below ``end``.

    Ids are ``digest:milliseconds``.
    """
    ids = _EVENTS.id >= f"{digest}:{round(first * 1000):013d}", _EVENTS.id < end
    query = select(t.events).where(_EVENTS.source == source, *ids).order_by(_EVENTS.id.desc())
    rows, last = _rows(conn, query.limit(_ROWS))
    named = orjson.dumps([rule]).decode()[:-1] + ","
    found = [(row.seq, row.at, event) for row, event in rows if named in row.rules]
    return Piece(found, last.at if last is not None else first, last.id if last is not None else None)


def pushed(conn: Connection, source: str, rule: str, first: int, below: int) -> Piece:
    """Read events of a source that concern a rule, `seq` from ``first`` on and below ``below``."""
    top = conn.execute(select(func.max(_EVENTS.seq)).where(_EVENTS.seq < below, _EVENTS.seq >= first)).scalar()
    if top is None:
        return Piece([], 0.0, None)
    floor = max(top - PIECE + 1, first)
    within, named = _EVENTS.seq.between(floor, top), orjson.dumps([rule]).decode()[:-1] + ","
    matched = _EVENTS.source == source, _EVENTS.outcome == "matched"  # cheaper to compare than the rules
    query = select(t.events).where(within, *matched, _EVENTS.rules.contains(named, autoescape=True))
    rows, last = _rows(conn, query.order_by(_EVENTS.seq.desc()))
    end = last.seq if last is not None else floor
    reached = conn.execute(select(_EVENTS.at).where(_EVENTS.seq >= end).order_by(_EVENTS.seq).limit(1)).scalar_one()
    return Piece([(row.seq, row.at, event) for row, event in rows], reached, end if end > first else None)


def counted(conn: Connection, state: int, first: int, below: int) -> Piece:
    """Read the events that a (rule, key) counted, `seq` from ``first`` on and below ``below``."""
    joined = select(t.events).join(t.inputs, _INPUTS.seq == _EVENTS.seq).where(_INPUTS.state == state)
    query = joined.where(_INPUTS.seq >= first, _INPUTS.seq < below).order_by(_INPUTS.seq.desc())
    rows, last = _rows(conn, query.limit(_ROWS))
    found = [(row.seq, row.at, event) for row, event in rows]
    return Piece(found, last.at if last is not None else 0.0, last.seq if last is not None else None)


def _rows(conn: Connection, query: Select[Any]) -> tuple[list[tuple[Row[Any], Event]], Row[Any] | None]:
    """Return what one call may read, and the last of it; None if that was all."""
    found: list[tuple[Row[Any], Event]] = []
    size = 0
    with conn.execute(query, execution_options={"yield_per": LARGE_AT_ONCE}) as rows:
        for row in rows:
            event, bytes_read = event_in_part(row, None)
            found.append((row, event))
            size += bytes_read
            if len(found) >= _ROWS or size >= _BYTES:
                return found, row
    return found, None


def runs_then(
    conn: Connection, rule: str, key: str | None, since: float, until: float, limit: int
) -> list[dict[str, Any]]:
    """Return the runs that were active in a time, newest first; of those created before it, the last twenty."""
    began = first_id(since)
    columns = [c for c in t.runs.columns if c.name in _OF_BARS]
    query = select(*columns).where(_RUNS.rule == rule, *equal({_RUNS.key: key})).order_by(_RUNS.id.desc())
    within = query.where(_RUNS.id >= began, _RUNS.id < first_id(until + 0.001)).limit(limit)
    before = query.where(_RUNS.id < began).limit(20)
    rows = [*conn.execute(within), *(row for row in conn.execute(before) if (row.ended_at or until) >= since)]
    return _mappings(rows)


_OF_BARS = frozenset(("id", "phase", "trigger", "reason", "created_at", "started_at", "ended_at", "attempt"))


def takes(conn: Connection, rule: str, key: str, since: float, until: float, limit: int) -> list[Row[Any]]:
    """Return the newest runs of a key with the data that each of them took, newest first.

    Those created from ``since`` on and before ``until``; of the twenty before, those that ended since.
    """
    query = _takes(rule, key).order_by(_RUNS.id.desc())
    began = first_id(since)
    within = query.where(_RUNS.id >= began, _RUNS.id < first_id(until)).limit(limit)
    before = conn.execute(query.where(_RUNS.id < began).limit(20)).all()
    return [*conn.execute(within), *(row for row in before if row.ended_at is None or row.ended_at >= since)]


def next_take(conn: Connection, rule: str, key: str, after: float) -> Row[Any] | None:
    """Return the first of the twenty runs after a time that took data; None if none did."""
    later = _takes(rule, key).where(_RUNS.id >= first_id(after), _RUNS.created_at > after).order_by(_RUNS.id).limit(20)
    return next((row for row in conn.execute(later) if row.id == row.chain and row.taken != "{}"), None)


def _takes(rule: str, key: str) -> Select[Any]:
    columns = (_RUNS.id, _RUNS.chain, _RUNS.phase, _RUNS.taken, _RUNS.created_at, _RUNS.ended_at, _RUNS.window)
    return select(*columns).where(_RUNS.rule == rule, _RUNS.key == key)


def decided(
    conn: Connection, rule: str, key: str, since: float, until: float, limit: int
) -> tuple[list[dict[str, Any]], float | None]:
    """Return the decisions of a time, newest first, the one before it last; and when the oldest kept one began.

    The oldest is None if none is kept.
    """
    of_key = select(t.decisions).where(_DECISIONS.rule == rule, _DECISIONS.key == key)
    begun = of_key.where(_DECISIONS.first_at <= until).order_by(_DECISIONS.id.desc())
    rows = conn.execute(begun.where(_DECISIONS.first_at >= since).limit(limit)).all()
    before = conn.execute(begun.where(_DECISIONS.first_at < since).limit(1)).all() if len(rows) < limit else []
    oldest = conn.execute(of_key.order_by(_DECISIONS.id).limit(1)).first()
    return _mappings([*rows, *before]), oldest.first_at if oldest is not None else None


def run_cause(conn: Connection, run: str) -> dict[str, Any]:
    """Return the tree of triggers that a run was started for; empty if it is not kept."""
    cause = conn.execute(select(_RUNS.cause).where(_RUNS.id == run)).scalar()
    return dict(orjson.loads(cause).get("because") or {}) if cause is not None else {}


def _mappings(rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's documented accessor
