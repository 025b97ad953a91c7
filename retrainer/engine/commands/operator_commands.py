"""Operator commands: manual runs, pauses, stops, retries, dead letters. Each is one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import delete, select
from ulid import ULID

from retrainer.engine.commands import letter_replay, requests
from retrainer.engine.commands.validation import check, check_room, rule_of, run_of
from retrainer.engine.runs.endings import stop_run
from retrainer.engine.runs.run_factory import build_run
from retrainer.engine.schedules.every_key import addressed
from retrainer.rules.outcome import Decision, Kind, Manual, NewRun, Reason, Resumed, Wake
from retrainer.runs.acts import why_no_cancel, why_no_retry
from retrainer.runs.retry import another
from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.runs.run import Run


PAUSED = "Paused"
"""Journal entry of a pause, which is not an input of `step`."""


def trigger(
    tx: Transaction, name: str, key: str, parameters: dict[str, str], idempotency_key: str | None, by: str = ""
) -> dict[str, Any]:
    """Request a run now and return the answer. A repeated idempotency key returns the same answer."""
    rule = rule_of(tx, name)
    check_trigger(rule, key, parameters)
    if idempotency_key is not None:
        known = requests.known(tx.conn, f"trigger/{idempotency_key}")
        if known is not None:
            return known.answer
    entry = tx.states.known(name, key)
    check_room(rule, entry.state if entry is not None else None, 1, parameters)
    request = str(ULID.from_timestamp(tx.now))
    folded = tx.take(name, key, Manual(parameters, request, by))
    decisions, runs = (folded.step.decisions, folded.runs) if folded is not None else ((), ())
    created = [run for run in runs if run.cause.get("request") == request and run.retry_of is None]
    of_request = [d for d in decisions if d.asked is not None and d.asked.request == request]
    last = next(reversed(of_request or decisions), None)
    refused = last is not None and last.new_run is not None and not created
    answer = {
        "decision": "skip" if refused else last.kind.value if last else "hold",
        "reason": Reason.BAD_PARAMETERS.value if refused else last.reason.value if last else "waiting",
        "detail": last.detail if last else "",
        "run": {"id": created[0].id, "workflow": created[0].workflow, "parameters": dict(created[0].parameters)}
        if created
        else None,
        "request": request,
    }
    if idempotency_key is not None:
        requests.remember(tx, (name, key), f"trigger/{idempotency_key}", {"by": by}, answer)
    return answer


def check_trigger(rule: CompiledRule, key: str, parameters: dict[str, str]) -> None:
    """Raise ValueError if the rule submits nothing, or has no such key or parameter."""
    check(rule, key, parameters)
    if rule.rule.mode == "shadow":
        raise ValueError(f"{rule.name} is in mode shadow and submits nothing: set mode: active first, or use --dry-run")


def preview(tx: Transaction, name: str, key: str, parameters: dict[str, str]) -> Run:
    """Return the run that `trigger` would start, not stored. Raise ValueError if its parameters do not render."""
    rule = rule_of(tx, name)
    entry = tx.states.known(name, key)
    new_run = NewRun("manual", parameters=parameters)
    if entry is not None:
        new_run = replace(new_run, window=entry.state.window, taken=entry.state.windows)
    state_id = entry.id if entry is not None else 0
    decision = Decision(Kind.FIRE, Reason.MANUAL, new_run=new_run)
    return build_run(tx, rule, key, state_id, decision, str(ULID.from_timestamp(tx.now)))


def pause(tx: Transaction, name: str, note: str) -> None:
    """Pause a rule manually. Raise LookupError if there is no such rule."""
    rule_of(tx, name)
    statements.put_all(tx.conn, t.pauses, [{"rule": name, "at": tx.now, "note": note}])
    tx.writes.journal(PAUSED, name, "", {"note": note})
    tx.catalog = tx.catalog.paused(name, by_hand=True)
    tx.take(name, "", Wake())


def resume(tx: Transaction, name: str) -> None:
    """End a manual pause, and close the circuit breakers of all keys."""
    rule_of(tx, name)
    statements.unpause(tx.conn, name)
    tx.catalog = tx.catalog.paused(name, by_hand=False)
    for key, given in addressed(tx, name, Resumed()):
        tx.take(name, key, given)
    tx.take(name, "", Resumed())


def cancel(tx: Transaction, run_id: str, strategy: Literal["Stop", "Terminate"], by: str = "") -> None:
    """Request that a run stops, for ``by``. Raise LookupError if there is no such run, ValueError if it has ended."""
    run = run_of(tx, run_id)
    if why := why_no_cancel(run):
        raise ValueError(why)
    stop_run(tx, run, strategy, f"cancelled manually by {by}" if by else "cancelled manually")


def retry(tx: Transaction, run_id: str, by: str = "", idempotency_key: str | None = None) -> str:
    """Start another attempt of an ended run, with its parameters, and return the new id.

    The inputs of the ended run were returned already and stay in the window. A repeated idempotency key returns the
    same id.
    """
    name = f"retry/{run_id}/{idempotency_key}"
    if idempotency_key is not None and (known := requests.known(tx.conn, name)) is not None:
        return str(known.answer["run"])
    attempt = next_attempt(tx, run_id)
    tx.adopt(replace(attempt, cause={**attempt.cause, "by": by}) if by else attempt)
    if idempotency_key is not None:
        requests.remember(tx, (attempt.rule, attempt.key), name, {"by": by}, {"run": attempt.id})
    return attempt.id


def next_attempt(tx: Transaction, run_id: str) -> Run:
    """Return the attempt that `retry` would start, not stored. Raise LookupError or ValueError as it does."""
    run = run_of(tx, run_id)
    if why := why_no_retry(run):
        raise ValueError(why)
    return another(run, tx.run_defaults.new_id(run.rule, run.key, tx.now), tx.now, Reason.RETRY.value)


def replay_dead_letters(tx: Transaction, ids: Collection[int]) -> dict[str, Any]:
    """Replay dead letters, each for the rule that failed on it. Those that fail again are kept.

    ``left`` in the answer lists the ids that the budget of this transaction did not cover.
    """
    replayed = 0
    failed: list[dict[str, Any]] = []
    c = t.dead_letters.c
    left = sorted(tx.conn.execute(select(c.id).where(c.id.in_(ids))).scalars(), reverse=True)
    while left and (not (replayed or failed) or not tx.budget.spent):
        row = tx.conn.execute(select(t.dead_letters).where(c.id == left.pop())).one()
        tx.budget.keys -= 1
        _, why = letter_replay.replay(tx, row)
        if why:
            failed.append({"id": row.id, "error": why})
            continue
        tx.conn.execute(delete(t.dead_letters).where(c.id == row.id))
        replayed += 1
    return {"replayed": replayed, "failed": failed, "left": left}


def discard_dead_letters(tx: Transaction, ids: list[int]) -> int:
    """Delete dead letters and return how many of them existed."""
    return tx.conn.execute(delete(t.dead_letters).where(t.dead_letters.c.id.in_(ids))).rowcount
