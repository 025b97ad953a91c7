"""Variables of the expressions in a rule's parameters, for a run that is being created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.engine.runs.downstream import upstream_scope
from retrainer.rules.expression import event_scope, timestamp
from retrainer.rules.parameters import joined
from retrainer.store import run_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import NewRun
    from retrainer.rules.window import Window
    from retrainer.runs.run import Run


def scope_of(tx: Transaction, rule: CompiledRule, run: Run, state_id: int, new_run: NewRun) -> dict[str, Any]:
    """Return the variables. Only those that the parameters read are loaded from the store.

    ``state_id`` is the id of the state whose inputs the run takes.
    """
    templates = rule.parameters.values()
    wanted = frozenset().union(*(t.variables for t in templates))
    events = joined(t.data_read for t in templates) if "events" in wanted else frozenset()
    return {
        "rule": {"name": rule.name, "labels": dict(rule.rule.labels)},
        "key": run.key,
        "trigger": _trigger(run, new_run),
        "window": _window(run, new_run.window),
        "run": _run(tx, run),
        **({"events": _events(tx, state_id, new_run, events)} if "events" in wanted else {}),
        **{name: look(tx, run, state_id, new_run) for name, look in _LOOKED_UP.items() if name in wanted},
    }


def _trigger(run: Run, new_run: NewRun) -> dict[str, Any]:
    return {
        "name": run.trigger,
        "reason": run.reason,
        "scheduled_at": timestamp(new_run.scheduled_at),
        "names": list(new_run.triggers),
        "values": dict(new_run.values),
    }


def _window(run: Run, window: Window) -> dict[str, Any]:
    """Return the variable `window`. Without data, it starts and ends when the run is created."""
    return {
        "start": timestamp(window.start if window.events else run.created_at),
        "end": timestamp(window.end if window.events else run.created_at),
        "events": window.events,
        "bytes": window.bytes,
        "rows": window.rows,
        "first_key": window.first_key,
        "last_key": window.last_key,
        "parts": {part: {"first": lo, "last": hi} for part, (lo, hi) in window.parts.items()},
    }


def _run(tx: Transaction, run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.workflow,
        "attempt": run.attempt,
        "namespace": run.namespace,
        "manifest_uri": tx.run_defaults.manifest_uri(run.id),
    }


def _events(tx: Transaction, state_id: int, new_run: NewRun, fields: frozenset[str] | None) -> list[dict[str, Any]]:
    return [event_scope(event) for event in tx.writes.newest_inputs(state_id, new_run.window, fields)]


def _previous(tx: Transaction, run: Run, _state_id: int, _new_run: NewRun) -> dict[str, Any]:
    return _ended(run_statements.last_ended(tx.conn, run.rule, run.key))


def _champion(tx: Transaction, run: Run, _state_id: int, _new_run: NewRun) -> dict[str, Any]:
    return _ended(run_statements.last_promoted(tx.conn, run.rule, run.key))


def _upstream(tx: Transaction, _run: Run, _state_id: int, new_run: NewRun) -> dict[str, Any]:
    run = run_statements.run(tx.conn, new_run.upstream) if new_run.upstream else None
    return upstream_scope(run) if run is not None else {}


_LOOKED_UP: Mapping[str, Callable[[Transaction, Run, int, NewRun], Any]] = {
    "previous": _previous,
    "champion": _champion,
    "upstream": _upstream,
}


def _ended(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    return {
        "id": run.id,
        "phase": run.phase.value,
        "ended_at": timestamp(run.ended_at),
        "outputs": dict(run.outputs),
        "parameters": dict(run.parameters),
    }
