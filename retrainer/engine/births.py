"""A decided birth becomes a run: id, final name, rendered parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from ulid import ULID

from retrainer.engine import budgets, distincts
from retrainer.engine.scope import scope_of
from retrainer.engine.spoilers import take_out
from retrainer.error_text import words
from retrainer.rules.outcome import Reason, Unrendered
from retrainer.rules.parameters import refuse_braces, render
from retrainer.rules.state import window_to
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


def give_birth(work: Work, rule: CompiledRule, key: str, state_id: int, decision: Decision) -> str | None:
    """Stage the run; None if it cannot have its parameters: then it is not born, and its inputs come back."""
    run_id = work.birthplace.new_id(rule.name, key, work.now)
    try:
        run = bear(work, rule, key, state_id, decision, run_id)
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - what a rule's parameters raise is the rule's
        assert decision.birth is not None  # noqa: S101 - for the type checker; the caller looked
        message = str(error) if isinstance(error, ValueError) else words(error)
        work.after.append((rule.name, key, Unrendered(decision.birth, message)))
        if isinstance(error, ValueError) and decision.birth.retry_of is None:
            _take_out_spoilers(work, rule, key, state_id, decision, message)
        return None
    if run.pool is None and run.not_before <= work.now and not budgets.name_of(rule):
        run = replace(run, admitted_at=work.now)
    else:
        work.pools_changed = True
    work.born[run.id] = run
    if run.retry_of is None and rule.distinct and decision.reason is not Reason.BACKFILL:  # which takes nothing
        distincts.give_to(work.conn, state_id, run.chain)
    work.tell("run.born", run=run)
    return run.id


def _take_out_spoilers(
    work: Work, rule: CompiledRule, key: str, state_id: int, decision: Decision, message: str
) -> None:
    birth = decision.birth
    assert birth is not None  # noqa: S101 - for the type checker; the caller looked
    spoiled = take_out(work, rule, _born(work, rule, key, decision, birth, ""), state_id, birth, message)
    if spoiled is not None:
        work.after.append((rule.name, key, spoiled))


def bear(work: Work, rule: CompiledRule, key: str, state_id: int, decision: Decision, run_id: str) -> Run:
    """The run, PENDING and not yet stored. Raise ValueError if its parameters cannot be rendered."""
    birth = decision.birth
    assert birth is not None  # noqa: S101 - for the type checker; only decisions with a birth come here
    run = _born(work, rule, key, decision, birth, run_id)
    if birth.retry_of is not None:
        return _retry(work.conn, run, birth.retry_of)
    _refuse_braces(birth.parameters)
    templates = {name: template for name, template in rule.parameters.items() if name not in birth.parameters}
    rendered = render(templates, scope_of(work, rule, run, state_id, birth))
    return replace(run, parameters={**rendered, **birth.parameters})


def _born(work: Work, rule: CompiledRule, key: str, decision: Decision, birth: Birth, run_id: str) -> Run:
    """All of it but its parameters."""
    return Run(
        id=run_id,
        rule=rule.name,
        key=key,
        phase=RunPhase.PENDING,
        workflow=workflow_name(rule.name, run_id),
        namespace=rule.rule.submit.namespace or work.birthplace.namespace,
        submit=rule.rule.submit.model_dump(mode="json", by_alias=True),
        parameters={},
        labels=dict(rule.rule.labels),
        trigger=birth.trigger,
        reason=decision.reason.value,
        born_at=work.now,
        revision=rule.revision,
        chain=run_id,
        scheduled_at=birth.scheduled_at,
        window=window_to(birth.window) if birth.window.events else {},
        taken={name: window_to(w) for name, w in birth.taken.items()},
        cause=_cause(decision, birth),
        pool=rule.rule.limits.pool,
        priority=rule.rule.limits.priority,
        not_before=birth.not_before,
    )


def _cause(decision: Decision, birth: Birth) -> dict[str, Any]:
    asked = {"request": birth.asked.request, "by": birth.asked.by} if birth.asked is not None else {}
    return {
        "triggers": birth.triggers,
        "because": birth.because,
        "values": birth.values,
        "upstream": birth.upstream,
        "detail": decision.detail,
        **asked,
    }


def _refuse_braces(parameters: Mapping[str, str]) -> None:
    """What somebody gave by hand is taken as it is, so it must hold nothing that Argo would expand."""
    for name, value in parameters.items():
        try:
            refuse_braces(value)
        except ValueError as error:
            raise ValueError(f"parameters.{name}: {error}") from None


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
