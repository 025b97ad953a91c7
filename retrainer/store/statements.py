"""Statements of the engine, executed inside its transaction."""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import and_, bindparam, case, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from retrainer.rules.state import decode
from retrainer.runs.run import RunPhase
from retrainer.store import tables as t
from retrainer.store.rows import dump, event_from_row, event_in_part, run_from_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Insert, Row, Select, Table, Update
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from retrainer.event import Event
    from retrainer.rules.state import State
    from retrainer.runs.run import Run

_CHUNK = 500
_LARGE_AT_ONCE = 16
"""Rows fetched together if each may have a megabyte."""
# Rows of one INSERT. SQLite's driver releases the GIL for each statement, and gets it back from a computing thread only
# after 5 ms. With one statement per row, a busy source would stall the engine.
_TOGETHER = (200, 10, 1)
PRUNED_SEQ = "ledger/pruned_seq"
"""Key in `meta`: the highest `seq` of a pruned event. Windows may still refer to it, so it is never reused."""
_STARTED = (RunPhase.SUBMITTED.value, RunPhase.RUNNING.value)


# Frequent statements are built once: building one costs SQLAlchemy about as much as executing it.
_RUN = select(t.runs).where(t.runs.c.id == bindparam("b_run"))
_NEXT_WAKE = select(func.min(t.states.c.wake_at))


@cache
def _insert(table: Table) -> Insert:
    return insert(table)


def insert_all(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        conn.execute(_insert(table), rows)


def append_all(conn: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows, given as tuples in the order of the table's columns. Values bypass SQLAlchemy's processing."""
    at = 0
    for size in _TOGETHER:
        while at + size <= len(rows):
            statement = _insert_sql(table, conn.dialect, size)
            conn.exec_driver_sql(statement, tuple(chain.from_iterable(rows[at : at + size])))
            at += size


@cache
def _insert_sql(table: Table, dialect: Dialect, rows: int) -> str:
    statement, _, _ = str(insert(table).compile(dialect=dialect)).partition(" VALUES ")
    mark = "?" if dialect.paramstyle == "qmark" else "%s"
    row = f"({', '.join([mark] * len(table.columns))})"
    return f"{statement} VALUES {', '.join([row] * rows)}"


def upsert(conn: Connection, table: Table) -> SqliteInsert | PostgresInsert:
    """Return an INSERT that supports ON CONFLICT, for the dialect of the connection."""
    return _upsert(conn.dialect.name, table)


def _upsert(dialect: str, table: Table) -> SqliteInsert | PostgresInsert:
    if dialect == "sqlite":
        return sqlite_insert(table)
    from sqlalchemy.dialects.postgresql import insert as postgres_insert  # noqa: PLC0415 - load only the dialect in use

    return postgres_insert(table)


def put_all(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, or replace those with the same primary key."""
    if rows:
        conn.execute(_put(conn.dialect.name, table), rows)


@cache
def _put(dialect: str, table: Table) -> SqliteInsert | PostgresInsert:
    statement = _upsert(dialect, table)
    keys = [c.name for c in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)


def counters(conn: Connection) -> dict[str, int]:
    """Return the highest number of each kind that was assigned."""
    return {
        "seq": max(
            conn.execute(select(func.max(t.events.c.seq))).scalar() or 0,
            conn.execute(select(func.max(t.journal.c.seq))).scalar() or 0,
            int(conn.execute(select(t.meta.c.value).where(t.meta.c.name == PRUNED_SEQ)).scalar() or 0),
            int(conn.execute(select(func.max(t.fan_outs.c.slot)).where(t.fan_outs.c.input.is_not(None))).scalar() or 0),
        ),
        "state": conn.execute(select(func.max(t.states.c.id))).scalar() or 0,
        "decision": conn.execute(select(func.max(t.decisions.c.id))).scalar() or 0,
    }


def known_ids(conn: Connection, source: str, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that the source has delivered before."""
    found: set[str] = set()
    for i in range(0, len(ids), _CHUNK):
        chunk = ids[i : i + _CHUNK]
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


def state_row(conn: Connection, rule: str, key: str) -> Row[Any] | None:
    return conn.execute(select(t.states).where(t.states.c.rule == rule, t.states.c.key == key)).first()


Touched = tuple[float, float | None]
"""When a state was last written, and when it is evaluated next (epoch seconds)."""


def touched(conn: Connection, rules: Collection[str]) -> dict[str, Touched]:
    """Return `Touched` of the state with the empty key, for those of the rules that have one."""
    c = t.states.c
    query = select(c.rule, c.touched_at, c.wake_at).where(c.rule.in_(rules), c.key == "")
    return {row.rule: (row.touched_at, row.wake_at) for row in conn.execute(query)}


def keys_of(conn: Connection, rule: str, after: str, limit: int) -> list[str]:
    query = select(t.states.c.key).where(t.states.c.rule == rule, t.states.c.key > after).order_by(t.states.c.key)
    return list(conn.execute(query.limit(limit)).scalars())


def count_keys(conn: Connection, rule: str) -> int:
    query = select(func.count()).where(t.states.c.rule == rule, t.states.c.key != "")
    return conn.execute(query).scalar_one()


def root_revisions(conn: Connection) -> dict[str, str]:
    query = select(t.states.c.rule, t.states.c.revision).where(t.states.c.key == "")
    return dict(conn.execute(query).all())


def state_revisions(conn: Connection) -> set[tuple[str, str]]:
    """Return the (rule, revision) pairs of all states."""
    return {
        (rule, revision) for rule, revision in conn.execute(select(t.states.c.rule, t.states.c.revision).distinct())
    }


def wake_revision(conn: Connection, rule: str, revision: str, now: float) -> None:
    """Make every state of a rule at this revision due now."""
    c = t.states.c
    conn.execute(update(t.states).where(c.rule == rule, c.revision == revision).values(wake_at=now))


def wake_quarantined(conn: Connection, rule: str, revision: str, now: float) -> None:
    """Make the quarantined states of a rule at this revision due now. They have no wake-up of their own."""
    c = t.states.c
    quarantined = and_(c.wake_at.is_(None), c.state.contains('"quarantine":'))
    conn.execute(update(t.states).where(c.rule == rule, c.revision == revision, quarantined).values(wake_at=now))


def due_states(conn: Connection, now: float, limit: int) -> list[tuple[str, str]]:
    """Return due (rule, key) pairs, longest due first. The order, and with it that of runs, is equal on every store."""
    c = t.states.c
    query = select(c.rule, c.key).where(c.wake_at <= now).order_by(c.wake_at, c.id)
    return [(rule, key) for rule, key in conn.execute(query.limit(limit))]


def no_wake(conn: Connection, rule: str, key: str) -> None:
    """Clear the wake-up of a state."""
    conn.execute(update(t.states).where(t.states.c.rule == rule, t.states.c.key == key).values(wake_at=None))


def next_wake(conn: Connection) -> float | None:
    """Return the earliest wake-up of all states (epoch seconds), or None."""
    return conn.execute(_NEXT_WAKE).scalar()


def run(conn: Connection, run_id: str) -> Run | None:
    row = conn.execute(_RUN, {"b_run": run_id}).first()
    return run_from_row(row) if row else None


def runs_by_id(conn: Connection, ids: Iterable[str]) -> dict[str, Run]:
    wanted = list(ids)
    if len(wanted) == 1:
        found = run(conn, wanted[0])
        return {} if found is None else {found.id: found}
    rows = conn.execute(select(t.runs).where(t.runs.c.id.in_(wanted)))
    return {row.id: run_from_row(row) for row in rows}


def live_runs(conn: Connection, rule: str, key: str) -> list[Run]:
    """Return the runs of a key that have not ended."""
    query = select(t.runs).where(t.runs.c.rule == rule, t.runs.c.key == key, t.runs.c.ended_at.is_(None))
    return [run_from_row(row) for row in conn.execute(query)]


def unstarted_runs(conn: Connection, rule: str, key: str, limit: int) -> list[Run]:
    """Return runs without a known Workflow, oldest first."""
    c = t.runs.c
    waits = (c.rule == rule, c.key == key, c.ended_at.is_(None), c.phase.in_(("PENDING", "SUBMITTING")))
    rows = conn.execute(select(t.runs).where(*waits).order_by(c.id).limit(limit))
    return [run_from_row(row) for row in rows]


def last_ended(conn: Connection, rule: str, key: str) -> Run | None:
    """Return the newest run of a key that has ended, or None."""
    query = select(t.runs).where(t.runs.c.rule == rule, t.runs.c.key == key, t.runs.c.ended_at.is_not(None))
    row = conn.execute(query.order_by(t.runs.c.id.desc()).limit(1)).first()
    return run_from_row(row) if row else None


def last_promoted(conn: Connection, rule: str, key: str) -> Run | None:
    """Return the champion: the last run whose model was promoted."""
    c = t.runs.c
    query = select(t.runs).where(c.rule == rule, c.key == key, c.promoted.is_(True))
    row = conn.execute(query.order_by(c.id.desc()).limit(1)).first()
    return run_from_row(row) if row else None


def last_run(conn: Connection, rule: str) -> Run | None:
    row = conn.execute(select(t.runs).where(t.runs.c.rule == rule).order_by(t.runs.c.id.desc()).limit(1)).first()
    return run_from_row(row) if row else None


def state_of(conn: Connection, rule: str, key: str) -> State | None:
    row = state_row(conn, rule, key)
    return decode(row.state) if row else None


def update_run(conn: Connection, run_id: str, **values: Any) -> None:
    conn.execute(_update_run(frozenset(values)), {"b_run": run_id, **values})


@cache
def _update_run(names: frozenset[str]) -> Update:
    return update(t.runs).where(t.runs.c.id == bindparam("b_run")).values({name: bindparam(name) for name in names})


def waiting_ids(conn: Connection) -> list[str]:
    """All runs that wait for admission."""
    c = t.runs.c
    query = select(c.id).where(c.phase == "PENDING", c.ended_at.is_(None), c.admitted_at.is_(None))
    return list(conn.execute(query).scalars())


def waiting_runs(conn: Connection, now: float, free: Mapping[str, int], most: int) -> list[Row[Any]]:
    """Return runs that may be admitted now: the first ``most`` of each rule and pool, at most ``free`` of the pool.

    "First" is in the order of `admit`: runs of one rule and pool have the same budget and cost, so that a later one is
    never admitted before these. ``place`` is the position within rule and pool, from 1.
    """
    c = t.runs.c
    place = func.row_number().over(partition_by=(c.rule, c.pool), order_by=(c.priority.desc(), c.created_at, c.id))
    full = [pool for pool, slots in free.items() if slots <= 0]
    waits = (c.phase == "PENDING", c.ended_at.is_(None), c.admitted_at.is_(None), c.not_before <= now)
    open_to = or_(c.pool.is_(None), c.pool.not_in(full))
    columns = (c.id, c.rule, c.pool, c.priority, c.created_at, c.not_before, place.label("place"))
    found = select(*columns).where(*waits, open_to).subquery()
    room = (
        case({pool: min(slots, most) for pool, slots in free.items()}, value=found.c.pool, else_=most) if free else most
    )
    return list(conn.execute(select(found).where(found.c.place <= room)))


def pool_use(conn: Connection) -> dict[str, int]:
    """Return the number of admitted runs that have not ended, by pool."""
    c = t.runs.c
    query = select(c.pool, func.count()).where(c.ended_at.is_(None), c.pool.is_not(None), c.admitted_at.is_not(None))
    return dict(conn.execute(query.group_by(c.pool)).all())


def admit(conn: Connection, ids: Sequence[str], now: float) -> None:
    if ids:
        conn.execute(
            update(t.runs).where(t.runs.c.id == bindparam("b_id")).values(admitted_at=now), [{"b_id": i} for i in ids]
        )


def claim(conn: Connection, limit: int, now: float, lease: float) -> list[Run]:
    """Claim admitted runs that are due, and runs whose lease expired; highest priority, then oldest first."""
    c = t.runs.c
    ready = and_(c.phase == "PENDING", c.admitted_at.is_not(None), c.not_before <= now)
    expired = and_(c.phase == "SUBMITTING", c.lease_until < now)
    query = select(t.runs).where(c.ended_at.is_(None), or_(ready, expired)).order_by(c.priority.desc(), c.id)
    rows = conn.execute(query.limit(limit)).all()
    if rows:
        conn.execute(
            update(t.runs)
            .where(c.id == bindparam("b_id"))
            .values(phase="SUBMITTING", lease_until=now + lease, submit_attempts=c.submit_attempts + 1),
            [{"b_id": row.id} for row in rows],
        )
    return runs_in_order(conn, [row.id for row in rows])


def ready_runs(conn: Connection, now: float) -> list[Run]:
    """Return admitted, unclaimed runs that are due; highest priority, then oldest first."""
    c = t.runs.c
    ready = (c.phase == "PENDING", c.admitted_at.is_not(None), c.not_before <= now, c.ended_at.is_(None))
    rows = conn.execute(select(t.runs).where(*ready).order_by(c.priority.desc(), c.id))
    return [run_from_row(row) for row in rows]


def runs_in_order(conn: Connection, ids: Sequence[str]) -> list[Run]:
    """Return the runs in the order of ``ids``."""
    found = runs_by_id(conn, ids) if ids else {}
    return [found[i] for i in ids]


def expire_leases(conn: Connection) -> None:
    """Expire all leases at start. This process holds the store's lock, so their holders have ended."""
    conn.execute(update(t.runs).where(t.runs.c.phase == "SUBMITTING").values(lease_until=0.0))


def next_start(conn: Connection, now: float) -> float | None:
    """Return the earliest `not_before` of waiting runs after ``now``, or None."""
    c = t.runs.c
    query = select(func.min(c.not_before)).where(c.phase == "PENDING", c.ended_at.is_(None), c.not_before > now)
    return conn.execute(query).scalar()


def to_stop(conn: Connection) -> list[Run]:
    """Return a page of started runs with a stop request."""
    c = t.runs.c
    query = select(t.runs).where(c.ended_at.is_(None), c.stop_requested.is_not(None), c.phase.in_(_STARTED))
    return [run_from_row(row) for row in conn.execute(query.limit(_CHUNK))]


def to_release(conn: Connection) -> list[Run]:
    """Return a page of ended runs whose Workflow may still have its finalizer."""
    c = t.runs.c
    query = select(t.runs).where(c.released.is_(False), c.ended_at.is_not(None), c.uid.is_not(None))
    return [run_from_row(row) for row in conn.execute(query.order_by(c.id).limit(_CHUNK))]


def started_runs(conn: Connection) -> list[Run]:
    return [run_from_row(row) for row in conn.execute(_started(t.runs))]


def started_ids(conn: Connection) -> list[str]:
    """Return ids only, to limit memory with ten thousand runs."""
    return list(conn.execute(_started(t.runs.c.id)).scalars())


def _started(*what: Any) -> Select[Any]:
    c = t.runs.c
    return select(*what).where(c.ended_at.is_(None), c.phase.in_(_STARTED)).order_by(c.id)


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
    with conn.execute(query, _given(state, ranges, limit), execution_options={"yield_per": _LARGE_AT_ONCE}) as rows:
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
    for i in range(0, len(keys), _CHUNK):
        query = select(c.key, c.fingerprint, c.notified_at).where(c.source == source, c.key.in_(keys[i : i + _CHUNK]))
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
    statement = _upsert(dialect, t.sources)
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
    for i in range(0, len(keys), _CHUNK):
        query = select(c.key, c.fingerprint, c.sequencer, c.swept)
        rows = conn.execute(query.where(c.source == source, c.key.in_(keys[i : i + _CHUNK])))
        found.update({row.key: (row.fingerprint, row.sequencer, row.swept) for row in rows})
    return found


def track(conn: Connection, source: str, seen: Mapping[str, tuple[str, str, bool] | None], at: float) -> None:
    """Store the state of objects; None for a deleted one."""
    store_objects(conn, source, {key: None for key, now in seen.items() if now is None}, at)
    rows = [(source, key, *now, at) for key, now in seen.items() if now is not None]
    names = ("source", "key", "fingerprint", "sequencer", "swept", "notified_at")
    put_all(conn, t.objects, [dict(zip(names, row, strict=True)) for row in rows])


def fan_outs(conn: Connection, limit: int | None = None) -> list[Row[Any]]:
    """Return the pending fan-outs, oldest first, without their inputs, which `fan_out_input` reads."""
    c = t.fan_outs.c
    columns = (c.rule, c.trigger, c.slot, c.after, c.input.is_(None).label("of_slot"))
    return list(conn.execute(select(*columns).order_by(c.slot, c.rule, c.trigger).limit(limit)))


def fan_out_input(conn: Connection, rule: str, trigger: str, slot: float) -> str | None:
    c = t.fan_outs.c
    where = and_(c.rule == rule, c.trigger == trigger, c.slot == slot)
    text: str | None = conn.execute(select(c.input).where(where)).scalar_one()
    return text


def fanning_triggers(conn: Connection) -> set[tuple[str, str]]:
    """Return the (rule, trigger) pairs whose values are being fanned out."""
    c = t.fan_outs.c
    query = select(c.rule, c.trigger).where(c.input.is_not(None)).distinct()
    return {(rule, trigger) for rule, trigger in conn.execute(query)}


def fans_out_inputs(conn: Connection, rule: str) -> bool:
    """Whether an input other than a slot is being fanned out to the keys of a rule."""
    c = t.fan_outs.c
    return conn.execute(select(c.rule).where(c.rule == rule, c.input.is_not(None)).limit(1)).first() is not None


def move_fan_out(conn: Connection, rule: str, trigger: str, slot: float, after: str | None) -> None:
    """Store the cursor of a fan-out; delete it if ``after`` is None (completed)."""
    c = t.fan_outs.c
    where = and_(c.rule == rule, c.trigger == trigger, c.slot == slot)
    conn.execute(
        delete(t.fan_outs).where(where) if after is None else update(t.fan_outs).where(where).values(after=after)
    )


def paused_rules(conn: Connection) -> set[str]:
    return set(conn.execute(select(t.pauses.c.rule)).scalars())


def unpause(conn: Connection, rule: str) -> None:
    conn.execute(delete(t.pauses).where(t.pauses.c.rule == rule))


def last_good(conn: Connection) -> dict[str, str]:
    """Return the last valid configuration files: path to content."""
    return dict(conn.execute(select(t.config_files.c.path, t.config_files.c.content)).all())


def store_good(conn: Connection, files: Mapping[str, str], hashes: Mapping[str, str], now: float) -> None:
    """Replace the last valid configuration files."""
    conn.execute(delete(t.config_files))
    insert_all(
        conn,
        t.config_files,
        [{"path": p, "hash": hashes[p], "content": content, "at": now} for p, content in files.items()],
    )


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
