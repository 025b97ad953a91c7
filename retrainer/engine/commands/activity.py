"""The record of who did what: one row for each act, written in the transaction of the act."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ulid import ULID

from retrainer.store import run_statements, statements
from retrainer.store import tables as t
from retrainer.store.base import StoreBusyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.engine.core.engine import Engine
    from retrainer.engine.core.notifications import ActRecorded
    from retrainer.engine.core.transaction import Transaction

PATIENCE = 2.0
"""Seconds that `store_rows` waits for the commit."""


def record(tx: Transaction, act: ActRecorded) -> None:
    """Stage the row of an act, and notify the listener. Of an act on a run, rule, key and namespace are looked up."""
    act = _placed(tx, act)
    tx.writes.rows["activity"].append(row_of(act, tx.now))
    tx.writes.emit(act)


def row_of(act: ActRecorded, now: float) -> dict[str, Any]:
    """Return the row of an act at ``now`` (epoch seconds)."""
    return {"id": str(ULID.from_timestamp(now)), "at": now, "last_at": now, "count": 1, **asdict(act)}


def _placed(tx: Transaction, act: ActRecorded) -> ActRecorded:
    if act.run and not act.rule:
        tx.writes.flush_runs()
        run = run_statements.run(tx.conn, act.run)
        return replace(act, rule=run.rule, key=run.key, namespace=run.namespace) if run is not None else act
    rule = tx.catalog.rules.get(act.rule)
    if rule is None or act.namespace:
        return act
    return replace(act, namespace=rule.rule.submit.namespace or tx.run_defaults.namespace)


def store_rows(engine: Engine, rows: Sequence[dict[str, Any]]) -> None:
    """Store rows, of which some were stored before; on a standby beside the leader. Raise StoreError."""
    if engine.trouble:
        raise StoreBusyError(engine.trouble)
    if engine.standby:
        with engine.store.share() as conn:
            statements.put_all(conn, t.activity, rows)
        return
    try:
        engine.act(lambda tx: statements.put_all(tx.conn, t.activity, rows)).result(PATIENCE)
    except TimeoutError:  # it may still be stored, and storing it again changes nothing
        raise StoreBusyError("the engine is busy") from None
