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
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Row, Select
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from retrainer.event import Event


def known_ids(conn: Connection, source: str, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that the source has delivered before."""
    found: set[str] = set()
    for i in range(0, len(ids), CHUNK):
        chunk = ids[i : i + CHUNK]
        query = select(t.identities.c.id).where(t.identities.c.source == source, t.identities.c.id.in_(chunk))
        found.update(conn.execute(query).scalars())
    return found


def forget_ids(conn: Connection, source: str, ids: Sequence[str]) -> None:
    """Delete identities, so that these ids count as new again."""
    if ids:
        where = and_(t.identities.c.source == bindparam("b_source"), t.identities.c.id == bindparam("b_id"))
        conn.execute(delete(t.identities).where(where), [{"b_source": source, "b_id": each} for each in ids])


def seen_again(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Extend the retention of repeated identities. Rows: b_source, b_id, seen_at, forget_at."""
    if rows:
        where = and_(t.identities.c.source == bindparam("b_source"), t.identities.c.id == bindparam("b_id"))
        conn.execute(
            update(t.identities).where(where).values(seen_at=bindparam("seen_at"), forget_at=bindparam("forget_at")),
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
    columns = [c if data or c.name != "data" else literal("{}").label("data") for c in t.events.c]
    within = or_(*(t.inputs.c.seq.between(bindparam(f"b_lo{i}"), bindparam(f"b_hi{i}")) for i in range(ranges)))
    return (
        select(*columns)
        .select_from(t.events)
        .join(t.inputs, t.inputs.c.seq == t.events.c.seq)
        .where(t.inputs.c.state == bindparam("b_state"), within)
        .order_by(t.events.c.seq.desc() if newest else t.events.c.seq)
        .limit(bindparam("b_limit"))
    )


def take_back_input(conn: Connection, state: int, where: tuple[str, str], seq: int) -> None:
    """Undo the input of one (rule, key) for an event that became its dead letter."""
    conn.execute(delete(t.inputs).where(t.inputs.c.state == state, t.inputs.c.seq == seq))
    row = conn.execute(select(t.events.c.rules).where(t.events.c.seq == seq)).one()
    left = [counted for counted in orjson.loads(row.rules) if counted != list(where)]
    outcome = "matched" if left else "dead_lettered"
    conn.execute(update(t.events).where(t.events.c.seq == seq).values(outcome=outcome, rules=dump(left)))


def objects(conn: Connection, source: str, after: str, prefix: str, limit: int) -> dict[str, str]:
    """Return the next objects of a source in the order of their keys: key to fingerprint."""
    c = t.objects.c
    query = select(c.key, c.fingerprint).where(c.source == source, c.key > after)
    if prefix:
        query = query.where(c.key >= prefix, c.key < prefix + "\U0010ffff")
    return dict(conn.execute(query.order_by(c.key).limit(limit)).all())


def objects_told(conn: Connection, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return fingerprint and time of the last report (0 if unknown), for those of the objects that are known."""
    c = t.objects.c
    found: dict[str, tuple[str, float]] = {}
    for i in range(0, len(keys), CHUNK):
        query = select(c.key, c.fingerprint, c.notified_at).where(c.source == source, c.key.in_(keys[i : i + CHUNK]))
        found.update({row.key: (row.fingerprint, row.notified_at or 0.0) for row in conn.execute(query)})
    return found


def store_objects(conn: Connection, source: str, seen: Mapping[str, str | None], now: float) -> None:
    gone = [{"b_source": source, "b_key": key} for key, fingerprint in seen.items() if fingerprint is None]
    if gone:
        where = and_(t.objects.c.source == bindparam("b_source"), t.objects.c.key == bindparam("b_key"))
        conn.execute(delete(t.objects).where(where), gone)
    put_all(
        conn,
        t.objects,
        [
            {"source": source, "key": key, "fingerprint": f, "notified_at": now}
            for key, f in seen.items()
            if f is not None
        ],
    )


def meet_sources(conn: Connection, names: Iterable[str], now: float) -> None:
    """Record since when each source is configured."""
    rows = [{"name": name, "first_seen_at": now} for name in names]
    if rows:
        conn.execute(upsert(conn, t.sources).on_conflict_do_nothing(), rows)


def source_seen(conn: Connection, source: str, now: float) -> None:
    """Record that a source delivered something."""
    conn.execute(_heard(conn.dialect.name), {"name": source, "first_seen_at": now, "last_event_at": now})


@cache
def _heard(dialect: str) -> SqliteInsert | PostgresInsert:
    statement = upsert_into(dialect, t.sources)
    return statement.on_conflict_do_update(
        index_elements=["name"], set_={"last_event_at": statement.excluded.last_event_at}
    )


def said_of(conn: Connection, source: str, event: str) -> list[Row[Any]]:
    """Return the ledger rows of an event: `at`, `rules`."""
    c = t.events.c
    return list(conn.execute(select(c.at, c.rules).where(c.source == source, c.id == event)))


def said_of_object(conn: Connection, source: str, prefix: str) -> list[Row[Any]]:
    """Return the ledger rows whose event ids have this prefix: `type time rules data attributes`."""
    c = t.events.c
    query = select(c.type, c.time, c.rules, c.data, c.attributes).where(
        c.source == source, c.id >= prefix, c.id < prefix + "\U0010ffff"
    )
    return list(conn.execute(query))


def objects_now(conn: Connection, source: str, keys: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    """Return fingerprint, sequencer and `swept` (only a listing reported it), for those objects that are known."""
    c = t.objects.c
    found: dict[str, tuple[str, str, bool]] = {}
    for i in range(0, len(keys), CHUNK):
        query = select(c.key, c.fingerprint, c.sequencer, c.swept)
        rows = conn.execute(query.where(c.source == source, c.key.in_(keys[i : i + CHUNK])))
        found.update({row.key: (row.fingerprint, row.sequencer, row.swept) for row in rows})
    return found


def track(conn: Connection, source: str, seen: Mapping[str, tuple[str, str, bool] | None], at: float) -> None:
    """Store the state of objects; None for a deleted one."""
    store_objects(conn, source, {key: None for key, now in seen.items() if now is None}, at)
    rows = [(source, key, *now, at) for key, now in seen.items() if now is not None]
    names = ("source", "key", "fingerprint", "sequencer", "swept", "notified_at")
    put_all(conn, t.objects, [dict(zip(names, row, strict=True)) for row in rows])


def drop_oldest_dead_letters(conn: Connection, most: int) -> int:
    """Delete the oldest dead letters until the others take up at most ``most`` bytes; return how many were deleted."""
    c = t.dead_letters.c
    excess = int(conn.execute(select(func.sum(c.size))).scalar() or 0) - most
    dropped = 0
    while excess > 0 and (oldest := conn.execute(_OLDEST_DEAD_LETTERS).all()):
        last = None
        for row in oldest:
            last, excess, dropped = row.id, excess - (row.size or 0), dropped + 1
            if excess <= 0:
                break
        conn.execute(delete(t.dead_letters).where(c.id <= last))
    return dropped


_OLDEST_DEAD_LETTERS = select(t.dead_letters.c.id, t.dead_letters.c.size).order_by(t.dead_letters.c.id).limit(500)
"""Served by the index of both columns: payloads are not read."""
