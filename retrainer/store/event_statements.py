"""SQL statements of the engine for events, their identities and inputs, objects of buckets, and dead letters."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import and_, bindparam, delete, func, literal, or_, select, update

from retrainer.store import tables as t
from retrainer.store.rows import dump, event_from_row, event_in_part
from retrainer.store.statements import CHUNK, LARGE_AT_ONCE, put_all, upsert, upsert_into

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Select
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from retrainer.event import Event

_EVENTS, _IDENTITIES, _OBJECTS, _LETTERS = t.events.c, t.identities.c, t.objects.c, t.dead_letters.c
_IDENTITY = and_(_IDENTITIES.source == bindparam("b_source"), _IDENTITIES.id == bindparam("b_id"))
_OBJECT = and_(_OBJECTS.source == bindparam("b_source"), _OBJECTS.key == bindparam("b_key"))
_BEYOND = "\U0010ffff"
"""Sorts after every text with the same prefix."""


def _in_chunks(
    conn: Connection, query: Select[Any], column: ColumnElement[str], values: Sequence[str]
) -> Iterator[Any]:
    """Yield the rows of a query with these values in a column. A statement has a limited number of parameters."""
    for i in range(0, len(values), CHUNK):
        yield from conn.execute(query.where(column.in_(values[i : i + CHUNK])))


def known_ids(conn: Connection, source: str, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that the source has delivered before."""
    query = select(_IDENTITIES.id).where(_IDENTITIES.source == source)
    return {known for (known,) in _in_chunks(conn, query, _IDENTITIES.id, ids)}


def forget_ids(conn: Connection, source: str, ids: Sequence[str]) -> None:
    """Delete identities, so that these ids count as new again."""
    if ids:
        conn.execute(delete(t.identities).where(_IDENTITY), [{"b_source": source, "b_id": each} for each in ids])


def seen_again(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Extend the retention of repeated identities. Rows: b_source, b_id, seen_at, forget_at."""
    if rows:
        conn.execute(
            update(t.identities)
            .where(_IDENTITY)
            .values(seen_at=bindparam("seen_at"), forget_at=bindparam("forget_at")),
            rows,
        )


def newest_inputs(
    conn: Connection,
    state: int,
    ranges: Sequence[Sequence[int]],
    limit: int,
    *,
    fields: frozenset[str] | None = None,
    room: int = 1 << 62,
) -> list[tuple[int, Event]]:
    """Return the newest events of a window with their `seq`, in ascending order: at most ``limit``, and ``room`` bytes.

    Only ``fields`` of their data are read (all if None). The newest event is always included, whatever its size.
    """
    if not ranges:
        return []
    query = _inputs(len(ranges), data=fields is None or bool(fields), newest=True)
    found: list[tuple[int, Event]] = []
    with conn.execute(query, _given(state, ranges, limit), execution_options={"yield_per": LARGE_AT_ONCE}) as rows:
        for row in rows:
            event, size = event_in_part(row, fields)
            room -= size
            if room < 0 and found:
                break
            found.append((row.seq, event))
    return found[::-1]


def oldest_input(conn: Connection, state: int, ranges: Sequence[Sequence[int]]) -> list[tuple[int, Event]]:
    """Return the oldest event of a window with its `seq`; an empty list if the window is empty."""
    query = _inputs(len(ranges), data=True, newest=False)
    rows = conn.execute(query, _given(state, ranges, 1)) if ranges else ()
    return [(row.seq, event_from_row(row)) for row in rows]


def _given(state: int, ranges: Sequence[Sequence[int]], limit: int) -> dict[str, int]:
    bounds = {
        f"b_{end}{i}": seq for i, offsets in enumerate(ranges) for end, seq in zip(("lo", "hi"), offsets, strict=True)
    }
    return {"b_state": state, "b_limit": limit, **bounds}


@lru_cache(maxsize=64)
def _inputs(ranges: int, *, data: bool, newest: bool) -> Select[Any]:
    columns = [c if data or c.name != "data" else literal("{}").label("data") for c in _EVENTS]
    within = or_(*(t.inputs.c.seq.between(bindparam(f"b_lo{i}"), bindparam(f"b_hi{i}")) for i in range(ranges)))
    return (
        select(*columns)
        .select_from(t.events)
        .join(t.inputs, t.inputs.c.seq == _EVENTS.seq)
        .where(t.inputs.c.state == bindparam("b_state"), within)
        .order_by(_EVENTS.seq.desc() if newest else _EVENTS.seq)
        .limit(bindparam("b_limit"))
    )


def take_back_input(conn: Connection, state: int, where: tuple[str, str], seq: int) -> None:
    """Undo the input of one (rule, key) for an event that became its dead letter."""
    conn.execute(delete(t.inputs).where(t.inputs.c.state == state, t.inputs.c.seq == seq))
    row = conn.execute(select(_EVENTS.rules).where(_EVENTS.seq == seq)).one()
    left = [counted for counted in orjson.loads(row.rules) if counted != list(where)]
    outcome = "matched" if left else "dead_lettered"
    conn.execute(update(t.events).where(_EVENTS.seq == seq).values(outcome=outcome, rules=dump(left)))


def objects(conn: Connection, source: str, after: str, prefix: str, limit: int) -> dict[str, str]:
    """Return the next objects of a source in the order of their keys: key to fingerprint."""
    query = select(_OBJECTS.key, _OBJECTS.fingerprint).where(_OBJECTS.source == source, _OBJECTS.key > after)
    if prefix:
        query = query.where(_OBJECTS.key >= prefix, _OBJECTS.key < prefix + _BEYOND)
    return dict(conn.execute(query.order_by(_OBJECTS.key).limit(limit)).all())


def objects_told(conn: Connection, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return fingerprint and time of the last report (0 if unknown), for those of the objects that are known."""
    query = select(_OBJECTS.key, _OBJECTS.fingerprint, _OBJECTS.notified_at).where(_OBJECTS.source == source)
    rows = _in_chunks(conn, query, _OBJECTS.key, keys)
    return {key: (fingerprint, notified_at or 0.0) for key, fingerprint, notified_at in rows}


def store_objects(conn: Connection, source: str, seen: Mapping[str, str | None], now: float) -> None:
    gone = [{"b_source": source, "b_key": key} for key, fingerprint in seen.items() if fingerprint is None]
    if gone:
        conn.execute(delete(t.objects).where(_OBJECT), gone)
    there = [(key, fingerprint) for key, fingerprint in seen.items() if fingerprint is not None]
    put_all(conn, t.objects, [{"source": source, "key": key, "fingerprint": f, "notified_at": now} for key, f in there])


def meet_sources(conn: Connection, names: Iterable[str], now: float) -> None:
    """Record since when each source is configured."""
    rows = [{"name": name, "first_seen_at": now} for name in names]
    if rows:
        conn.execute(upsert(conn, t.sources).on_conflict_do_nothing(), rows)


def source_seen(conn: Connection, source: str, now: float) -> None:
    """Record that a source delivered something."""
    conn.execute(_record_delivery(conn.dialect.name), {"name": source, "first_seen_at": now, "last_event_at": now})


@cache
def _record_delivery(dialect: str) -> SqliteInsert | PostgresInsert:
    statement = upsert_into(dialect, t.sources)
    return statement.on_conflict_do_update(
        index_elements=["name"], set_={"last_event_at": statement.excluded.last_event_at}
    )


def said_of(conn: Connection, source: str, event: str) -> list[Row[Any]]:
    """Return the ledger rows of an event: `at`, `rules`."""
    return list(conn.execute(select(_EVENTS.at, _EVENTS.rules).where(_EVENTS.source == source, _EVENTS.id == event)))


def said_of_object(conn: Connection, source: str, prefix: str) -> list[Row[Any]]:
    """Return the ledger rows whose event ids have this prefix: `type time rules data attributes`."""
    query = select(_EVENTS.type, _EVENTS.time, _EVENTS.rules, _EVENTS.data, _EVENTS.attributes).where(
        _EVENTS.source == source, _EVENTS.id >= prefix, _EVENTS.id < prefix + _BEYOND
    )
    return list(conn.execute(query))


def objects_now(conn: Connection, source: str, keys: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    """Return fingerprint, sequencer and `swept` (only a listing reported it), for those objects that are known."""
    columns = (_OBJECTS.key, _OBJECTS.fingerprint, _OBJECTS.sequencer, _OBJECTS.swept)
    rows = _in_chunks(conn, select(*columns).where(_OBJECTS.source == source), _OBJECTS.key, keys)
    return {key: (fingerprint, sequencer, swept) for key, fingerprint, sequencer, swept in rows}


def track(conn: Connection, source: str, seen: Mapping[str, tuple[str, str, bool] | None], at: float) -> None:
    """Store the state of objects; None for a deleted one."""
    store_objects(conn, source, {key: None for key, now in seen.items() if now is None}, at)
    rows = [(source, key, *now, at) for key, now in seen.items() if now is not None]
    names = ("source", "key", "fingerprint", "sequencer", "swept", "notified_at")
    put_all(conn, t.objects, [dict(zip(names, row, strict=True)) for row in rows])


def drop_oldest_dead_letters(conn: Connection, most: int) -> int:
    """Delete the oldest dead letters until the others take up at most ``most`` bytes; return how many were deleted."""
    excess = int(conn.execute(select(func.sum(_LETTERS.size))).scalar() or 0) - most
    dropped = 0
    while excess > 0 and (oldest := conn.execute(_OLDEST_DEAD_LETTERS).all()):
        last = None
        for row in oldest:
            last, excess, dropped = row.id, excess - (row.size or 0), dropped + 1
            if excess <= 0:
                break
        conn.execute(delete(t.dead_letters).where(_LETTERS.id <= last))
    return dropped


_OLDEST_DEAD_LETTERS = select(_LETTERS.id, _LETTERS.size).order_by(_LETTERS.id).limit(500)
"""Served by the index of both columns: payloads are not read."""
