"""End runs, and request that they stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from retrainer.engine.core.notifications import RunEnded
from retrainer.engine.runs import results
from retrainer.rules.outcome import Ended
from retrainer.rules.window import Window, window_from
from retrainer.runs.run import RunPhase
from retrainer.store import run_statements

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction
    from retrainer.runs.run import Run

REPLACED = "replaced by a newer run"
"""Message of a run that was stopped in favor of a newer run of its key."""


def stop_live(tx: Transaction, rule: str, key: str, strategy: str) -> None:
    """Request that every live run of the key stops, to make room for a new one."""
    tx.writes.flush_runs()
    for run in run_statements.live_runs(tx.conn, rule, key):
        stop_run(tx, run, strategy, REPLACED)


def stop_run(tx: Transaction, run: Run, strategy: str, why: str) -> None:
    """Store a stop request for the run. A run that was not claimed yet ends at once."""
    run_statements.update_run(tx.conn, run.id, stop_requested=strategy)
    if run.phase is RunPhase.PENDING:
        end_run(tx, run, RunPhase.CANCELLED, why, by_request=True)
    else:
        tx.stops = True


def end_run(
    tx: Transaction, run: Run, phase: RunPhase, message: str, *, by_request: bool, gone: bool = False, **values: Any
) -> None:
    """End the run: update its row and fold its end into the rule's state. ``gone``: the Workflow does not exist.

    ``values`` are columns of the run. `ended_at` defaults to now.
    """
    released = gone or (run.uid is None and "uid" not in values)
    rule = tx.catalog.rules.get(run.rule)
    outputs, resources = (orjson.loads(values.get(name, "{}")) for name in ("outputs", "resources"))
    values |= {
        "promoted": results.promoted(rule, phase, outputs),
        "gpu_hours": results.gpu_hours(rule, outputs, resources),
    }
    _close(tx, run, phase, message, by_request=by_request, released=released, **values)


def end_unread(tx: Transaction, run: Run, phase: RunPhase, **values: Any) -> None:
    """End a run whose result could not be processed, without its outputs. The cause is in the log."""
    message = "its outputs could not be processed: see the log of the daemon"
    _close(tx, run, phase, message, by_request=False, released=run.uid is None and "uid" not in values, **values)


def _close(
    tx: Transaction, run: Run, phase: RunPhase, message: str, *, by_request: bool, released: bool, **values: Any
) -> None:
    ended_at = values.setdefault("ended_at", tx.now)
    run_statements.update_run(
        tx.conn,
        run.id,
        phase=phase.value,
        message=message,
        lease_until=None,
        released=released,
        **values,
    )
    tx.pools_changed = True
    tx.writes.emit(RunEnded(run, phase, message, values))
    taken = {name: window_from(w) for name, w in run.taken.items()}
    window = window_from(run.window) if run.window else Window()
    by = tuple(run.cause.get("triggers") or ())
    ended = Ended(
        run.id, phase, run.attempt, by_request, window, taken, promoted=values.get("promoted"), triggers=by, at=ended_at
    )
    tx.after.append((run.rule, run.key, ended))
