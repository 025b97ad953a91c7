"""End runs, with their results: whether the model was promoted, and the cost. Request that runs stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import structlog

from retrainer.engine.core.notifications import RunEnded
from retrainer.rules.outcome import Ended
from retrainer.rules.window import Window, window_from
from retrainer.runs.run import Run, RunPhase
from retrainer.store import run_statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.expression import Program

log = structlog.get_logger()

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
        "promoted": _promoted(rule, phase, outputs),
        "gpu_hours": _gpu_hours(rule, outputs, resources),
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


def _promoted(rule: CompiledRule | None, phase: RunPhase, outputs: Mapping[str, Any]) -> bool | None:
    """Return whether the model was promoted, read from the outputs by the rule's `feedback`; None if unknown."""
    if rule is None or rule.promoted is None or phase is not RunPhase.SUCCEEDED:
        return None
    value = _evaluate(rule, rule.promoted, outputs)
    return value if isinstance(value, bool) else None


def _gpu_hours(rule: CompiledRule | None, outputs: Mapping[str, Any], resources: Mapping[str, float]) -> float:
    """Return GPU hours: from the rule's `cost`, else from Argo's durations of resources such as nvidia.com/gpu."""
    if rule is not None and rule.cost is not None:
        value = _evaluate(rule, rule.cost, outputs)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
            return float(value)
    return sum(seconds for name, seconds in resources.items() if name.endswith("/gpu") or "/gpu." in name) / 3600


def _evaluate(rule: CompiledRule, program: Program, outputs: Mapping[str, Any]) -> Any:
    try:
        return program.evaluate({"outputs": dict(outputs)})
    except ValueError as error:
        log.warning("run.output_missing", rule=rule.name, error=str(error))
        return None
