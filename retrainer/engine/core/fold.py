"""Fold an input into the state of a (rule, key), and stage the results: decisions, runs, slots, stops."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from retrainer.config.models import Budget
from retrainer.engine.core import budget_balances
from retrainer.engine.core.containment import attempt
from retrainer.engine.core.journal import payload_of
from retrainer.engine.core.state_cache import Entry
from retrainer.engine.intake import distincts
from retrainer.engine.runs import chains, endings
from retrainer.engine.runs.run_factory import create_run
from retrainer.engine.schedules import slots
from retrainer.engine.schedules.every_key import stage
from retrainer.engine.schedules.spread import EachKey, EveryKey
from retrainer.rules.decide import step
from retrainer.rules.outcome import Arrived, Ended, Input, Kind, Quarantined, Sampled, Step, Wake
from retrainer.rules.run_end import orphaned
from retrainer.runs.run import RunPhase
from retrainer.store import statements
from retrainer.store.faults import of_whole
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.schedules.spread import Spread
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget

log = structlog.get_logger()


def fold_input(tx: Transaction, rule_name: str, key: str, given: Input | Spread) -> Step | None:
    """Fold one input into the state of a (rule, key), and stage what follows from it.

    Return None if there is no such rule, or if the input was staged for many keys. An error of the fold is raised,
    unless the transaction is careful: see `_contain`.
    """
    rule = tx.catalog.rules.get(rule_name)
    if isinstance(given, (EveryKey, EachKey)):
        stage(tx, rule_name, given)
        return None
    if rule is None:
        if isinstance(given, Ended):
            _orphaned(tx, rule_name, key, given)
        return None
    if not tx.careful:
        return _step(tx, rule, key, given)
    try:
        return attempt(tx, lambda: _step(tx, rule, key, given))
    except Exception as error:
        if of_whole(error):
            raise
        return _contain(tx, rule, key, given, error)


def _contain(tx: Transaction, rule: CompiledRule, key: str, given: Input, error: Exception) -> Step | None:
    """Handle an error of a fold. If only this event fails, raise its error; otherwise quarantine the key.

    The input is then folded into the quarantined state. If that fails too, it is logged, counted and left out, unless
    it is an event, whose error is raised.
    """
    of_an_event = isinstance(given, (Arrived, Sampled))
    if of_an_event and _evaluates(tx, rule, key):
        raise error
    log.error("rule.quarantined", rule=rule.name, key=key, input=type(given).__name__, exc_info=error)
    try:
        attempt(tx, lambda: _step(tx, rule, key, Quarantined(words(error))))
        return attempt(tx, lambda: _step(tx, rule, key, given))
    except Exception as kept:
        if of_an_event or of_whole(kept):
            raise
        log.exception("input.left_out", rule=rule.name, key=key, input=type(given).__name__)
        tx.emit("left_out", unit=type(given).__name__)
        statements.no_wake(tx.conn, rule.name, key)  # else the same wake-up would be due again at once
        return None


def _evaluates(tx: Transaction, rule: CompiledRule, key: str) -> bool:
    """Whether the rule can be evaluated for this key without the input."""
    try:
        attempt(tx, lambda: _step(tx, rule, key, Wake()))
    except Exception as error:
        if of_whole(error):
            raise
        return False
    return True


def _step(tx: Transaction, rule: CompiledRule, key: str, given: Input) -> Step:
    entry = tx.entry(rule, key)
    if isinstance(given, Ended):
        given = chains.recounted(tx.conn, given)
    state, done = step(rule.of_key(key), entry.state, given, tx.now, _remaining_budget(tx, rule))
    if isinstance(given, Ended):
        chains.ended(tx, rule, given, done)
    if not isinstance(given, (Arrived, Sampled)):  # these are in the ledger
        tx.journal(type(given).__name__, rule.name, key, payload_of(given))
    tx.changed[rule.name, key] = Entry(entry.id, entry.revision, state, entry.record)
    _follow(tx, rule, key, entry.id, done)
    return done


def _follow(tx: Transaction, rule: CompiledRule, key: str, state_id: int, done: Step) -> None:
    """Create runs, record decisions and slots, stage fan-outs, and request the stop of active runs."""
    where = rule.name, key
    run_of: dict[int, str] = {}
    for place, decision in enumerate(done.decisions):
        run = create_run(tx, rule, key, state_id, decision) if decision.new_run is not None else None
        if decision.kind is Kind.FIRE and decision.new_run is None:  # in shadow mode no run ever returns values
            distincts.drop(tx.conn, state_id)
        if run is not None:
            run_of[place] = run
        tx.changed[where] = tx.record(*where, tx.changed[where], decision, run)
    slots.settle(tx, rule, key, done, run_of)
    tx.fans_out = tx.fans_out or bool(done.fan_out)
    for due in done.fan_out:
        row = {"rule": rule.name, "trigger": due.trigger, "slot": due.slot, "after": "", "input": None}
        tx.rows["fan_outs"].append(row)
    if done.stop is not None:
        endings.stop_live(tx, rule.name, key, done.stop)


def _orphaned(tx: Transaction, rule: str, key: str, given: Ended) -> None:
    """A run of a removed rule ended. Update the kept state, so that the run blocks nothing if the rule comes back."""
    entry = tx.known(rule, key)
    if entry is not None:
        given = chains.recounted(tx.conn, given)
        tx.changed[rule, key] = replace(entry, state=orphaned(entry.state, given, tx.now))
        chains.settle(tx.conn, given, spent=given.phase is RunPhase.SUCCEEDED)


def _remaining_budget(tx: Transaction, rule: CompiledRule) -> RemainingBudget | None:
    if not isinstance(rule.rule.limits.budget, Budget):
        return None  # shared budgets are checked by `admit`
    tx.flush_runs()
    return budget_balances.of_rule(tx.conn, rule, tx.now)
