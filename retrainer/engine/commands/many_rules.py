"""One act on many rules. Each rule has its own answer, and one that is refused or fails does not affect the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import structlog
from sqlalchemy import select
from ulid import ULID

from retrainer.engine.commands import activity, operator_commands, requests
from retrainer.engine.commands.validation import rule_of
from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.core.containment import contained, settled
from retrainer.engine.runs.waits import waits_for
from retrainer.rules.decide import step
from retrainer.rules.outcome import Decision, Kind, Manual, Resumed
from retrainer.store import run_statements
from retrainer.store import tables as t
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from retrainer.engine.commands.long_commands import Act
    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.notifications import ActRecorded
    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Input
    from retrainer.rules.state import State
    from retrainer.runs.run import Run

log = structlog.get_logger()
Verb = Literal["pause", "resume", "trigger"]
Result = Literal["done", "waits", "unchanged", "refused"]
SECONDS = 0.005
"""Seconds after which a transaction begins no act on another rule, because everything else waits for it."""
_HOLDS = ("pool", "budget")
"""What a created run waits for that is worth an answer; it always waits a moment for the submitter."""


@dataclass(frozen=True, slots=True)
class ManyRules:
    """What is done to each rule. ``by``: the cause of runs. ``record``: the activity, still without its rule.

    ``request``: the name of the request. If it is repeated, a rule that has its answer already gets the same again.
    """

    act: Verb
    record: ActRecorded
    note: str = ""
    by: str = ""
    request: str | None = None
    dry_run: bool = False


def act_on_many(act: Act, order: ManyRules, rules: Sequence[str]) -> list[dict[str, Any]]:
    """Do the act for each rule, over as many transactions as needed. Return `rule`, `result` and `detail` of each."""
    answers: list[dict[str, Any]] = []
    while len(answers) < len(rules):
        answers += act(_act_on_some, order, rules[len(answers) :])
    return answers


def wait_of(conn: Connection, catalog: Catalog, run_id: str, now: float) -> str:
    """Return which pool or budget a run waits for, as a clause; empty if for none."""
    run = run_statements.run(conn, run_id)
    return _wait_of(conn, catalog, run, now) if run is not None else ""


def _wait_of(conn: Connection, catalog: Catalog, run: Run, now: float) -> str:
    wait = waits_for(conn, catalog, run, now)
    return str(wait["detail"]) if wait is not None and wait["reason"] in _HOLDS else ""


def _act_on_some(tx: Transaction, order: ManyRules, rules: Sequence[str]) -> list[dict[str, Any]]:
    """Do the act for the first rules, for at least one. Return their answers."""
    answers: list[dict[str, Any]] = []
    began = tx.budget.elapsed()
    for name in rules:
        answers.append(contained(tx, partial(settled, tx, partial(_answered, order, name)), partial(_failed, name)))
        if tx.budget.elapsed() - began >= SECONDS:
            break
    return answers


def _failed(rule: str, error: Exception) -> dict[str, Any]:
    log.error("act.failed", rule=rule, exc_info=error)
    return _answer(rule, "refused", f"it failed: {words(error)}")


def _answered(order: ManyRules, name: str, tx: Transaction) -> dict[str, Any]:
    """Return the answer of one rule: the stored one if the request is repeated."""
    request = f"{order.act}/{order.request}/{name}" if order.request is not None and not order.dry_run else None
    known = requests.known(tx.conn, request) if request is not None else None
    if known is not None:
        return known.answer
    try:
        answer = (_tried if order.dry_run else _done)(tx, order, rule_of(tx, name))
    except (LookupError, ValueError) as error:
        if type(error) not in (LookupError, ValueError):
            raise  # not a refusal but a bug
        return _answer(name, "refused", str(error))
    if request is not None:
        requests.remember(tx, (name, ""), request, {"by": order.by}, answer)
    return answer


def _answer(rule: str, result: Result, detail: str, decision: str = "", **facts: Any) -> dict[str, Any]:
    return {"rule": rule, "result": result, "detail": detail, "decision": decision or None, "reason": "", **facts}


def _done(tx: Transaction, order: ManyRules, rule: CompiledRule) -> dict[str, Any]:
    """Do and record the act. Raise LookupError or ValueError, before anything is staged, if it is refused."""
    if order.act != "trigger" and (nothing := _nothing_to_do(tx, order.act, rule)):
        return _answer(rule.name, "unchanged", nothing)
    record = replace(order.record, rule=rule.name)
    if order.act == "trigger":
        made = operator_commands.trigger(tx, rule.name, "", {}, None, order.by)
        run = made["run"]["id"] if made["run"] else ""
        activity.record(tx, replace(record, run=run, detail=f"{made['decision']}: {made['reason']}"))
        return _triggered(rule.name, made["decision"], made["reason"], made["detail"], run)
    if order.act == "pause":
        operator_commands.pause(tx, rule.name, order.note)
    else:
        operator_commands.resume(tx, rule.name)
    activity.record(tx, record)
    return _answer(rule.name, "done", _said(order, rule))


def _said(order: ManyRules, rule: CompiledRule) -> str:
    if order.act == "pause":
        return "no run starts until it is resumed"
    return _RESUMED if rule.rule.mode != "paused" else f"{_RESUMED}; it stays paused, because its `mode` is paused"


_RESUMED = "its circuit breakers are closed, and a manual pause is over"


def _nothing_to_do(tx: Transaction, act: Verb, rule: CompiledRule) -> str:
    """Return why pausing or resuming a rule would change nothing; empty if it would."""
    note = tx.conn.execute(select(t.pauses.c.note).where(t.pauses.c.rule == rule.name)).scalar()
    if act == "pause":
        if rule.rule.mode == "paused":
            return "its `mode` is paused"
        return f"it is paused already{f': {note}' if note else ''}" if note is not None else ""
    if note is not None or rule.per_key:
        return ""
    state = _state(tx, rule)
    if state.broken or state.quarantine is not None:
        return ""
    held = ": its `mode` is paused, edit its file" if rule.rule.mode == "paused" else ""
    return f"no manual pause and no open circuit breaker{held}"


def _tried(tx: Transaction, order: ManyRules, rule: CompiledRule) -> dict[str, Any]:
    """Return what the act would answer. Nothing is staged. Raise LookupError or ValueError if it would be refused."""
    if order.act == "trigger":
        return _tried_trigger(tx, order, rule)
    if nothing := _nothing_to_do(tx, order.act, rule):
        return _answer(rule.name, "unchanged", nothing)
    fires = ""
    if order.act == "resume" and not rule.per_key:
        decision = _decided(tx, replace(rule, paused=rule.rule.mode == "paused"), Resumed())
        fires = "; then it fires at once" if decision is not None and decision.kind is Kind.FIRE else ""
    return _answer(rule.name, "done", _said(order, rule) + fires)


def _tried_trigger(tx: Transaction, order: ManyRules, rule: CompiledRule) -> dict[str, Any]:
    operator_commands.check_trigger(rule, "", {})
    request = str(ULID.from_timestamp(tx.now))
    decision = _decided(tx, rule, Manual({}, request, order.by))
    if decision is None or decision.new_run is None:
        kind, reason = ("hold", "waiting") if decision is None else (decision.kind.value, decision.reason.value)
        return _triggered(rule.name, kind, reason, decision.detail if decision is not None else "", "")
    run = operator_commands.preview(tx, rule.name, "", {})
    answer = _triggered(rule.name, decision.kind.value, decision.reason.value, decision.detail, run.id)
    wait = _wait_of(tx.conn, tx.catalog, run, tx.now)
    return {**waiting(answer, wait), "run": None}


def _decided(tx: Transaction, rule: CompiledRule, given: Input) -> Decision | None:
    """Return what would be decided last if the input were folded in; of a manual run, what is decided about it."""
    balance = budget_balances.of_rule(tx.conn, rule, tx.now)
    decisions = step(rule.of_key(""), _state(tx, rule), given, tx.now, balance)[1].decisions
    of_request = [d for d in decisions if isinstance(given, Manual) and d.asked and d.asked.request == given.request]
    return next(reversed(of_request or decisions), None)


def _state(tx: Transaction, rule: CompiledRule) -> State:
    return rule_changes.state_as_it_will_be(tx.conn, rule, "", tx.now)


def _triggered(rule: str, decision: str, reason: str, detail: str, run: str) -> dict[str, Any]:
    why = f"{reason.replace('_', ' ')}{f': {detail}' if detail else ''}"
    if run:
        answer = _answer(rule, "done", "nothing holds its run", decision)
    elif decision == Kind.HOLD:
        answer = _answer(rule, "waits", f"the request waits: {why}", decision)
    else:
        answer = _answer(rule, "refused", f"skipped: {why}", decision)
    return {**answer, "reason": reason, "run": run or None}


def waiting(answer: dict[str, Any], wait: str) -> dict[str, Any]:
    """Return the answer of a rule whose run waits for a pool or budget."""
    return {**answer, "result": "waits", "detail": f"its run waits: {wait}"} if wait else answer
