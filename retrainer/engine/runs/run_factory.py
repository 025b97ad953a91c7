"""Create the run of a decision: id, final name, rendered parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from retrainer.engine.core.catalog import budget_of
from retrainer.engine.core.notifications import RunCreated
from retrainer.engine.intake import distinct_by
from retrainer.engine.intake.unrenderable_events import take_out
from retrainer.engine.runs.parameter_scope import scope_of
from retrainer.rules.outcome import Decision, NewRun, Reason, Unrendered
from retrainer.rules.parameters import refuse_braces, render
from retrainer.rules.window import window_to
from retrainer.runs.naming import workflow_name
from retrainer.runs.run import Run, RunPhase
from retrainer.store import run_statements
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule


def create_run(tx: Transaction, rule: CompiledRule, key: str, state_id: int, decision: Decision) -> Run | None:
    """Stage the run of a decision, if it has one, and return it.

    Return None if its parameters fail to render: its inputs are then returned.
    """
    new_run = decision.new_run
    if new_run is None:
        return None
    run_id = tx.run_defaults.new_id(rule.name, key, tx.now)
    try:
        run = build_run(tx, rule, key, state_id, decision, run_id)
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - any error in a rule's parameters is the rule's
        message = str(error) if isinstance(error, ValueError) else words(error)
        tx.after.append((rule.name, key, Unrendered(new_run, message)))
        if isinstance(error, ValueError) and new_run.retry_of is None:
            tried = _new_run_of(tx, rule, key, decision, new_run, "")
            spoiled = take_out(tx, rule, tried, state_id, new_run, message)
            tx.after += [(rule.name, key, spoiled)] if spoiled is not None else []
        return None
    if run.pool is None and run.not_before <= tx.now and not budget_of(rule):
        run = replace(run, admitted_at=tx.now)
    else:
        tx.pools_changed = True
    tx.writes.created[run.id] = run
    if run.retry_of is None and rule.distinct and decision.reason is not Reason.BACKFILL:  # a backfill takes no window
        distinct_by.give_to(tx.conn, state_id, run.chain)
    tx.writes.emit(RunCreated(run))
    return run


def build_run(tx: Transaction, rule: CompiledRule, key: str, state_id: int, decision: Decision, run_id: str) -> Run:
    """Return the run, PENDING and not yet stored. Raise ValueError if its parameters cannot be rendered."""
    new_run = decision.new_run
    assert new_run is not None  # noqa: S101 - for the type checker; callers pass only decisions with a new run
    run = _new_run_of(tx, rule, key, decision, new_run, run_id)
    if new_run.retry_of is not None:
        return _retry(tx.conn, run, new_run.retry_of)
    _refuse_braces(new_run.parameters)
    templates = {name: template for name, template in rule.parameters.items() if name not in new_run.parameters}
    rendered = render(templates, scope_of(tx, rule, run, state_id, new_run))
    return replace(run, parameters={**rendered, **new_run.parameters})


def _new_run_of(tx: Transaction, rule: CompiledRule, key: str, decision: Decision, new_run: NewRun, run_id: str) -> Run:
    """Return the run without its parameters."""
    return Run(
        id=run_id,
        rule=rule.name,
        key=key,
        phase=RunPhase.PENDING,
        workflow=workflow_name(rule.name, run_id),
        namespace=rule.rule.submit.namespace or tx.run_defaults.namespace,
        submit=rule.rule.submit.model_dump(mode="json", by_alias=True),
        parameters={},
        labels=dict(rule.rule.labels),
        trigger=new_run.trigger,
        reason=decision.reason.value,
        created_at=tx.now,
        revision=rule.revision,
        chain=run_id,
        scheduled_at=new_run.scheduled_at,
        window=window_to(new_run.window) if new_run.window.events else {},
        taken={name: window_to(w) for name, w in new_run.taken.items()},
        cause=_cause(decision, new_run),
        pool=rule.rule.limits.pool,
        priority=rule.rule.limits.priority,
        not_before=new_run.not_before,
    )


def _cause(decision: Decision, new_run: NewRun) -> dict[str, Any]:
    asked = {"request": new_run.asked.request, "by": new_run.asked.by} if new_run.asked is not None else {}
    return {
        "triggers": new_run.triggers,
        "because": new_run.because,
        "values": new_run.values,
        "upstream": new_run.upstream,
        "detail": decision.detail,
        **asked,
    }


def _refuse_braces(parameters: Mapping[str, str]) -> None:
    """Raise ValueError for values that Argo would expand: parameters of manual requests are passed on unchanged."""
    for name, value in parameters.items():
        try:
            refuse_braces(value)
        except ValueError as error:
            raise ValueError(f"parameters.{name}: {error}") from None


def _retry(conn: Connection, run: Run, retry_of: str) -> Run:
    """Return the next attempt of the chain, with the same parameters. Raise ValueError if the failed run is gone."""
    failed = run_statements.run(conn, retry_of)
    if failed is None:
        raise ValueError(f"run {retry_of} is no longer in the store")
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
