"""A decided birth becomes a run: id, final name, rendered parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ulid import ULID

from retrainer.engine.followers import upstream_scope
from retrainer.rules.expression import event_scope, timestamp
from retrainer.rules.parameters import refuse_braces, render
from retrainer.rules.state import Window, window_to
from retrainer.runs.naming import workflow_name
from retrainer.runs.run import Run, RunPhase
from retrainer.store import writes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from retrainer.engine.work import Work
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Birth, Decision


NewId = Callable[[str, str, float], str]
"""Gives a run that is born its id, by rule, key and now (epoch seconds)."""


def new_run_id(_rule: str, _key: str, now: float) -> str:
    """A ULID: ids sort by birth."""
    return str(ULID.from_timestamp(now))


@dataclass(frozen=True, slots=True)
class Birthplace:
    """What a run is given that no rule says.

    ``namespace`` is for rules that name none, ``manifest_uri`` tells by a run's id where the list of
    its inputs will be, ``new_id`` makes that id.
    """

    namespace: str
    manifest_uri: Callable[[str], str]
    new_id: NewId = new_run_id


def bear(work: Work, rule: CompiledRule, key: str, state_id: int, decision: Decision, run_id: str) -> Run:
    """The run, PENDING and not yet stored. Raise ValueError if its parameters cannot be rendered."""
    birth = decision.birth
    assert birth is not None  # noqa: S101 - for the type checker; only decisions with a birth come here
    submit = rule.rule.submit.model_dump(mode="json", by_alias=True)
    limits = rule.rule.limits
    run = Run(
        id=run_id,
        rule=rule.name,
        key=key,
        phase=RunPhase.PENDING,
        workflow=workflow_name(rule.name, run_id),
        namespace=rule.rule.submit.namespace or work.birthplace.namespace,
        submit=submit,
        parameters={},
        labels=dict(rule.rule.labels),
        trigger=birth.trigger,
        reason=decision.reason.value,
        born_at=work.now,
        revision=rule.revision,
        chain=run_id,
        scheduled_at=birth.scheduled_at,
        window=_window_out(birth.window),
        taken={name: window_to(w) for name, w in birth.taken.items()},
        cause={
            "triggers": birth.triggers,
            "because": birth.because,
            "values": birth.values,
            "upstream": birth.upstream,
            "detail": decision.detail,
            **({"request": birth.asked.request, "by": birth.asked.by} if birth.asked is not None else {}),
        },
        pool=limits.pool,
        priority=limits.priority,
        not_before=birth.not_before,
    )
    if birth.retry_of is not None:
        return _retry(work.conn, run, birth.retry_of)
    for name, value in birth.parameters.items():
        try:
            refuse_braces(value)
        except ValueError as error:
            raise ValueError(f"parameters.{name}: {error}") from None
    rendered = render(
        {n: t for n, t in rule.parameters.items() if n not in birth.parameters},
        _scope(work, rule, run, state_id, birth),
    )
    return replace(run, parameters={**rendered, **birth.parameters})


def _retry(conn: Connection, run: Run, retry_of: str) -> Run:
    """The same inputs and parameters, the next attempt of the chain."""
    failed = writes.run(conn, retry_of)
    if failed is None:
        raise ValueError(f"run {retry_of} is not in the store any more")
    return replace(
        run,
        parameters=failed.parameters,
        submit=failed.submit,
        namespace=failed.namespace,
        trigger=failed.trigger,
        scheduled_at=failed.scheduled_at,
        cause=failed.cause,
        chain=failed.chain,
        attempt=failed.attempt + 1,
        retry_of=retry_of,
    )


def _window_out(window: Window) -> dict[str, Any]:
    return window_to(window) if window.events else {}


def _scope(work: Work, rule: CompiledRule, run: Run, state_id: int, birth: Birth) -> dict[str, Any]:
    """What expressions see; the store is asked only for what they read."""
    wanted = frozenset().union(*(t.variables for t in rule.parameters.values())) if rule.parameters else frozenset()
    window = birth.window
    scope: dict[str, Any] = {
        "rule": {"name": rule.name, "labels": dict(rule.rule.labels)},
        "key": run.key,
        "trigger": {
            "name": run.trigger,
            "reason": run.reason,
            "scheduled_at": timestamp(birth.scheduled_at),
            "names": list(birth.triggers),
            "values": dict(birth.values),
        },
        "window": {
            "start": timestamp(window.start if window.events else run.born_at),
            "end": timestamp(window.end if window.events else run.born_at),
            "events": window.events,
            "bytes": window.bytes,
            "rows": window.rows,
            "first_key": window.first_key,
            "last_key": window.last_key,
            "parts": {part: {"first": lo, "last": hi} for part, (lo, hi) in window.parts.items()},
        },
        "run": {
            "id": run.id,
            "name": run.workflow,
            "attempt": run.attempt,
            "namespace": run.namespace,
            "manifest_uri": work.birthplace.manifest_uri(run.id),
        },
    }
    if "events" in wanted:
        events = work.newest_inputs(state_id, window)
        scope["events"] = [event_scope(e) for e in events]
    if "previous" in wanted:
        last = writes.last_ended(work.conn, rule.name, run.key)
        scope["previous"] = _previous(last) if last else {}
    if "champion" in wanted:
        best = writes.last_promoted(work.conn, rule.name, run.key)
        scope["champion"] = _previous(best) if best else {}
    if "upstream" in wanted:
        upstream = writes.run(work.conn, birth.upstream) if birth.upstream else None
        scope["upstream"] = upstream_scope(upstream) if upstream else {}
    return scope


def _previous(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "phase": run.phase.value,
        "ended_at": timestamp(run.ended_at),
        "outputs": dict(run.outputs),
        "parameters": dict(run.parameters),
    }
