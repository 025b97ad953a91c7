"""SQL statements of the engine for runs: waiting, startable and started runs, and those to stop."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, case, func, or_, select, update

from retrainer.runs.run import RunPhase
from retrainer.store import tables as t
from retrainer.store.rows import run_from_row
from retrainer.store.statements import CHUNK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Select, Update

    from retrainer.runs.run import Run

_C = t.runs.c
_STARTED = (RunPhase.SUBMITTED.value, RunPhase.RUNNING.value)


# Frequent statements are built once: building one costs SQLAlchemy about as much as executing it.
_RUN = select(t.runs).where(_C.id == bindparam("b_run"))


def _runs(conn: Connection, query: Select[Any]) -> list[Run]:
    return [run_from_row(row) for row in conn.execute(query)]


def _newest(conn: Connection, *where: ColumnElement[bool]) -> Run | None:
    row = conn.execute(select(t.runs).where(*where).order_by(_C.id.desc()).limit(1)).first()
    return run_from_row(row) if row else None


def run(conn: Connection, run_id: str) -> Run | None:
    row = conn.execute(_RUN, {"b_run": run_id}).first()
    return run_from_row(row) if row else None


def runs_by_id(conn: Connection, ids: Iterable[str]) -> dict[str, Run]:
    wanted = list(ids)
    if len(wanted) == 1:
        found = run(conn, wanted[0])
        return {} if found is None else {found.id: found}
    return {found.id: found for found in _runs(conn, select(t.runs).where(_C.id.in_(wanted)))}


def live_runs(conn: Connection, rule: str, key: str) -> list[Run]:
    """Return the runs of a key that have not ended."""
    return _runs(conn, select(t.runs).where(_C.rule == rule, _C.key == key, _C.ended_at.is_(None)))


def unstarted_runs(conn: Connection, rule: str, key: str, limit: int) -> list[Run]:
    """Return runs without a known Workflow, oldest first."""
    waits = (_C.rule == rule, _C.key == key, _C.ended_at.is_(None), _C.phase.in_(("PENDING", "SUBMITTING")))
    return _runs(conn, select(t.runs).where(*waits).order_by(_C.id).limit(limit))


def last_ended(conn: Connection, rule: str, key: str) -> Run | None:
    """Return the newest run of a key that has ended, or None."""
    return _newest(conn, _C.rule == rule, _C.key == key, _C.ended_at.is_not(None))


def last_promoted(conn: Connection, rule: str, key: str) -> Run | None:
    """Return the champion: the last run whose model was promoted."""
    return _newest(conn, _C.rule == rule, _C.key == key, _C.promoted.is_(True))


def last_run(conn: Connection, rule: str, key: str | None = None) -> Run | None:
    """Return the newest run of a rule, or of one of its keys."""
    return _newest(conn, _C.rule == rule, *([_C.key == key] if key is not None else []))


def last_runs(conn: Connection, rules: Collection[str]) -> dict[str, Row[Any]]:
    """Return the newest run of those of the rules that have one: `rule`, `id`, `phase`, `created_at`, `ended_at`."""
    of = t.states.c
    last = select(_C.id).where(_C.rule == of.rule).order_by(_C.id.desc()).limit(1).scalar_subquery()
    # The engine stores a state with the empty key for each rule, before it decides anything.
    ids = [i for i in conn.scalars(select(last).where(of.rule.in_(rules), of.key == "")) if i is not None]
    shown: Select[Any] = select(_C.rule, _C.id, _C.phase, _C.created_at, _C.ended_at)
    return {row.rule: row for row in conn.execute(shown.where(_C.id.in_(ids)))} if ids else {}


def update_run(conn: Connection, run_id: str, **values: Any) -> None:
    conn.execute(_update_run(frozenset(values)), {"b_run": run_id, **values})


@cache
def _update_run(names: frozenset[str]) -> Update:
    return update(t.runs).where(_C.id == bindparam("b_run")).values({name: bindparam(name) for name in names})


def waiting_ids(conn: Connection) -> list[str]:
    """Return the ids of all runs that wait for admission."""
    query = select(_C.id).where(_C.phase == "PENDING", _C.ended_at.is_(None), _C.admitted_at.is_(None))
    return list(conn.execute(query).scalars())


def waiting_runs(conn: Connection, now: float, free: Mapping[str, int], most: int) -> list[Row[Any]]:
    """Return runs that may be admitted now: the first ``most`` of each rule and pool, at most ``free`` of the pool.

    "First" is in the order of `admit`: runs of one rule and pool have the same budget and cost, so that a later one is
    never admitted before these. ``place`` is the position within rule and pool, from 1.
    """
    place = func.row_number().over(partition_by=(_C.rule, _C.pool), order_by=(_C.priority.desc(), _C.created_at, _C.id))
    full = [pool for pool, slots in free.items() if slots <= 0]
    waits = (_C.phase == "PENDING", _C.ended_at.is_(None), _C.admitted_at.is_(None), _C.not_before <= now)
    open_to = or_(_C.pool.is_(None), _C.pool.not_in(full))
    columns = (_C.id, _C.rule, _C.pool, _C.priority, _C.created_at, _C.not_before, place.label("place"))
    found = select(*columns).where(*waits, open_to).subquery()
    room = (
        case({pool: min(slots, most) for pool, slots in free.items()}, value=found.c.pool, else_=most) if free else most
    )
    return list(conn.execute(select(found).where(found.c.place <= room)))


def pool_use(conn: Connection) -> dict[str, int]:
    """Return the number of admitted runs that have not ended, by pool."""
    query = select(_C.pool, func.count()).where(
        _C.ended_at.is_(None), _C.pool.is_not(None), _C.admitted_at.is_not(None)
    )
    return dict(conn.execute(query.group_by(_C.pool)).all())


def admit(conn: Connection, ids: Sequence[str], now: float) -> None:
    if ids:
        conn.execute(
            update(t.runs).where(_C.id == bindparam("b_id")).values(admitted_at=now), [{"b_id": i} for i in ids]
        )


def claim(conn: Connection, limit: int, now: float, lease: float) -> list[Run]:
    """Claim admitted runs that are due, and runs whose lease expired; highest priority, then oldest first."""
    ready = and_(_C.phase == "PENDING", _C.admitted_at.is_not(None), _C.not_before <= now)
    expired = and_(_C.phase == "SUBMITTING", _C.lease_until < now)
    query = select(t.runs).where(_C.ended_at.is_(None), or_(ready, expired)).order_by(_C.priority.desc(), _C.id)
    rows = conn.execute(query.limit(limit)).all()
    if rows:
        conn.execute(
            update(t.runs)
            .where(_C.id == bindparam("b_id"))
            .values(phase="SUBMITTING", lease_until=now + lease, submit_attempts=_C.submit_attempts + 1),
            [{"b_id": row.id} for row in rows],
        )
    return runs_in_order(conn, [row.id for row in rows])


def ready_runs(conn: Connection, now: float) -> list[Run]:
    """Return admitted, unclaimed runs that are due; highest priority, then oldest first."""
    ready = (_C.phase == "PENDING", _C.admitted_at.is_not(None), _C.not_before <= now, _C.ended_at.is_(None))
    return _runs(conn, select(t.runs).where(*ready).order_by(_C.priority.desc(), _C.id))


def runs_in_order(conn: Connection, ids: Sequence[str]) -> list[Run]:
    """Return the runs in the order of ``ids``."""
    found = runs_by_id(conn, ids) if ids else {}
    return [found[i] for i in ids]


def expire_leases(conn: Connection) -> None:
    """Expire all leases at start. Call it only if `Store.undisputed`: their holders have ended then."""
    conn.execute(update(t.runs).where(_C.phase == "SUBMITTING").values(lease_until=0.0))


def next_start(conn: Connection, now: float) -> float | None:
    """Return the earliest `not_before` of waiting runs after ``now``, or None."""
    query = select(func.min(_C.not_before)).where(_C.phase == "PENDING", _C.ended_at.is_(None), _C.not_before > now)
    return conn.execute(query).scalar()


def to_stop(conn: Connection) -> list[Run]:
    """Return a page of started runs with a stop request."""
    query = select(t.runs).where(_C.ended_at.is_(None), _C.stop_requested.is_not(None), _C.phase.in_(_STARTED))
    return _runs(conn, query.limit(CHUNK))


def to_release(conn: Connection) -> list[Run]:
    """Return a page of ended runs whose Workflow may still have its finalizer."""
    query = select(t.runs).where(_C.released.is_(False), _C.ended_at.is_not(None), _C.uid.is_not(None))
    return _runs(conn, query.order_by(_C.id).limit(CHUNK))


def started_runs(conn: Connection) -> list[Run]:
    return _runs(conn, _started(t.runs))


def started_ids(conn: Connection) -> list[str]:
    """Return ids only, to limit memory with ten thousand runs."""
    return list(conn.execute(_started(_C.id)).scalars())


def _started(*what: Any) -> Select[Any]:
    return select(*what).where(_C.ended_at.is_(None), _C.phase.in_(_STARTED)).order_by(_C.id)
