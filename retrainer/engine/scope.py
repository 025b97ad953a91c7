"""What the expressions of a rule's parameters see of a run that is being born."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.engine.followers import upstream_scope
from retrainer.rules.expression import event_scope, timestamp
from retrainer.rules.parameters import joined
from retrainer.store import writes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.engine.work import Work
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Birth
    from retrainer.rules.state import Window
    from retrainer.runs.run import Run


def scope_of(work: Work, rule: CompiledRule, run: Run, state_id: int, birth: Birth) -> dict[str, Any]:
    """Look up in the store only what the rule's parameters read. ``state_id`` is of the state whose inputs it takes."""
    templates = rule.parameters.values()
    wanted = frozenset().union(*(t.variables for t in templates))
    events = joined(t.data_read for t in templates) if "events" in wanted else frozenset()
    return {
        "rule": {"name": rule.name, "labels": dict(rule.rule.labels)},
        "key": run.key,
        "trigger": _trigger(run, birth),
        "window": _window(run, birth.window),
        "run": _run(work, run),
        **({"events": _events(work, state_id, birth, events)} if "events" in wanted else {}),
        **{name: look(work, run, state_id, birth) for name, look in _LOOKED_UP.items() if name in wanted},
    }


def _trigger(run: Run, birth: Birth) -> dict[str, Any]:
    return {
        "name": run.trigger,
        "reason": run.reason,
        "scheduled_at": timestamp(birth.scheduled_at),
        "names": list(birth.triggers),
        "values": dict(birth.values),
    }


def _window(run: Run, window: Window) -> dict[str, Any]:
    """Without data it begins and ends where the run is born."""
    return {
        "start": timestamp(window.start if window.events else run.born_at),
        "end": timestamp(window.end if window.events else run.born_at),
        "events": window.events,
        "bytes": window.bytes,
        "rows": window.rows,
        "first_key": window.first_key,
        "last_key": window.last_key,
        "parts": {part: {"first": lo, "last": hi} for part, (lo, hi) in window.parts.items()},
    }


def _run(work: Work, run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.workflow,
        "attempt": run.attempt,
        "namespace": run.namespace,
        "manifest_uri": work.birthplace.manifest_uri(run.id),
    }


def _events(work: Work, state_id: int, birth: Birth, fields: frozenset[str] | None) -> list[dict[str, Any]]:
    return [event_scope(event) for event in work.newest_inputs(state_id, birth.window, fields)]


def _previous(work: Work, run: Run, _state_id: int, _birth: Birth) -> dict[str, Any]:
    return _ended(writes.last_ended(work.conn, run.rule, run.key))


def _champion(work: Work, run: Run, _state_id: int, _birth: Birth) -> dict[str, Any]:
    return _ended(writes.last_promoted(work.conn, run.rule, run.key))


def _upstream(work: Work, _run: Run, _state_id: int, birth: Birth) -> dict[str, Any]:
    run = writes.run(work.conn, birth.upstream) if birth.upstream else None
    return upstream_scope(run) if run is not None else {}


_LOOKED_UP: Mapping[str, Callable[[Work, Run, int, Birth], Any]] = {
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
