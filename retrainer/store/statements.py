"""SQL statements of the engine for states, decisions, fan-outs and rules, and functions that write rows."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from retrainer.rules.state import decode
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, Dialect, Insert, Row, Table
    from sqlalchemy.dialects.postgresql import Insert as PostgresInsert
    from sqlalchemy.dialects.sqlite import Insert as SqliteInsert

    from retrainer.rules.state import State

CHUNK = 500
LARGE_AT_ONCE = 16
"""Rows fetched together when each may take up a megabyte."""
# Rows of one INSERT. SQLite's driver releases the GIL for each statement, and gets it back from a computing thread only
# after 5 ms. With one statement per row, a busy source would stall the engine.
_TOGETHER = (200, 10, 1)
PRUNED_SEQ = "ledger/pruned_seq"
"""Key in `meta`: the highest `seq` of a pruned event. Windows may still refer to it, so it is never reused."""
_STATES, _FAN_OUTS = t.states.c, t.fan_outs.c
_NEXT_WAKE = select(func.min(_STATES.wake_at))


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
    return upsert_into(conn.dialect.name, table)


def upsert_into(dialect: str, table: Table) -> SqliteInsert | PostgresInsert:
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
    statement = upsert_into(dialect, table)
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
            int(conn.execute(select(func.max(_FAN_OUTS.slot)).where(_FAN_OUTS.input.is_not(None))).scalar() or 0),
        ),
        "state": conn.execute(select(func.max(_STATES.id))).scalar() or 0,
        "decision": conn.execute(select(func.max(t.decisions.c.id))).scalar() or 0,
    }


def state_row(conn: Connection, rule: str, key: str) -> Row[Any] | None:
    return conn.execute(select(t.states).where(_STATES.rule == rule, _STATES.key == key)).first()


def root_states(conn: Connection, rules: Collection[str]) -> dict[str, Row[Any]]:
    """Return the state with the empty key, for those of the rules that have one."""
    query = select(t.states).where(_STATES.rule.in_(rules), _STATES.key == "")
    return {row.rule: row for row in conn.execute(query)}


def touched(conn: Connection, rules: Collection[str]) -> dict[str, float]:
    """Return when the state with the empty key was last written, for those of the rules that have one."""
    query = select(_STATES.rule, _STATES.touched_at).where(_STATES.rule.in_(rules), _STATES.key == "")
    return {row.rule: row.touched_at for row in conn.execute(query)}


def last_decisions(conn: Connection, rules: Collection[str]) -> dict[str, Row[Any]]:
    """Return the last stored decision of the empty key, for those of the rules that have one."""
    c, of = t.decisions.c, t.states.c
    last = select(c.id).where(c.rule == of.rule, c.key == "").order_by(c.id.desc()).limit(1).scalar_subquery()
    ids = [i for i in conn.scalars(select(last).where(of.rule.in_(rules), of.key == "")) if i is not None]
    return {row.rule: row for row in conn.execute(select(t.decisions).where(c.id.in_(ids)))} if ids else {}


def keys_of(conn: Connection, rule: str, after: str, limit: int) -> list[str]:
    query = select(_STATES.key).where(_STATES.rule == rule, _STATES.key > after).order_by(_STATES.key)
    return list(conn.execute(query.limit(limit)).scalars())


def count_keys(conn: Connection, rule: str) -> int:
    query = select(func.count()).where(_STATES.rule == rule, _STATES.key != "")
    return conn.execute(query).scalar_one()


def root_revisions(conn: Connection) -> dict[str, str]:
    query = select(_STATES.rule, _STATES.revision).where(_STATES.key == "")
    return dict(conn.execute(query).all())


def state_revisions(conn: Connection) -> set[tuple[str, str]]:
    """Return the (rule, revision) pairs of all states."""
    return {(rule, revision) for rule, revision in conn.execute(select(_STATES.rule, _STATES.revision).distinct())}


def wake_revision(conn: Connection, rule: str, revision: str, now: float) -> None:
    """Make every state of a rule at this revision due now."""
    conn.execute(update(t.states).where(_STATES.rule == rule, _STATES.revision == revision).values(wake_at=now))


def wake_quarantined(conn: Connection, rule: str, revision: str, now: float) -> None:
    """Make the quarantined states of a rule at this revision due now. They have no wake-up time."""
    quarantined = and_(_STATES.wake_at.is_(None), _STATES.state.contains('"quarantine":'))
    conn.execute(
        update(t.states).where(_STATES.rule == rule, _STATES.revision == revision, quarantined).values(wake_at=now)
    )


def due_states(conn: Connection, now: float, limit: int) -> list[tuple[str, str]]:
    """Return due (rule, key) pairs, longest due first. The order, and that of runs, is the same on every store."""
    query = select(_STATES.rule, _STATES.key).where(_STATES.wake_at <= now).order_by(_STATES.wake_at, _STATES.id)
    return [(rule, key) for rule, key in conn.execute(query.limit(limit))]


def no_wake(conn: Connection, rule: str, key: str) -> None:
    """Clear the wake-up of a state."""
    conn.execute(update(t.states).where(_STATES.rule == rule, _STATES.key == key).values(wake_at=None))


def next_wake(conn: Connection) -> float | None:
    """Return the earliest wake-up of all states (epoch seconds), or None."""
    return conn.execute(_NEXT_WAKE).scalar()


def state_of(conn: Connection, rule: str, key: str) -> State | None:
    row = state_row(conn, rule, key)
    return decode(row.state) if row else None


def fan_outs(conn: Connection, limit: int | None = None) -> list[Row[Any]]:
    """Return the pending fan-outs, oldest first, without their inputs, which `fan_out_input` reads."""
    columns = (
        _FAN_OUTS.rule,
        _FAN_OUTS.trigger,
        _FAN_OUTS.slot,
        _FAN_OUTS.after,
        _FAN_OUTS.input.is_(None).label("of_slot"),
    )
    return list(conn.execute(select(*columns).order_by(_FAN_OUTS.slot, _FAN_OUTS.rule, _FAN_OUTS.trigger).limit(limit)))


def fan_out_input(conn: Connection, rule: str, trigger: str, slot: float) -> str | None:
    where = and_(_FAN_OUTS.rule == rule, _FAN_OUTS.trigger == trigger, _FAN_OUTS.slot == slot)
    text: str | None = conn.execute(select(_FAN_OUTS.input).where(where)).scalar_one()
    return text


def fanning_triggers(conn: Connection) -> set[tuple[str, str]]:
    """Return the (rule, trigger) pairs whose values are being fanned out."""
    query = select(_FAN_OUTS.rule, _FAN_OUTS.trigger).where(_FAN_OUTS.input.is_not(None)).distinct()
    return {(rule, trigger) for rule, trigger in conn.execute(query)}


def fans_out_inputs(conn: Connection, rule: str) -> bool:
    """Whether an input other than a slot is being fanned out to the keys of a rule."""
    return (
        conn.execute(
            select(_FAN_OUTS.rule).where(_FAN_OUTS.rule == rule, _FAN_OUTS.input.is_not(None)).limit(1)
        ).first()
        is not None
    )


def move_fan_out(conn: Connection, rule: str, trigger: str, slot: float, after: str | None) -> None:
    """Store the cursor of a fan-out; delete it if ``after`` is None (completed)."""
    where = and_(_FAN_OUTS.rule == rule, _FAN_OUTS.trigger == trigger, _FAN_OUTS.slot == slot)
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
