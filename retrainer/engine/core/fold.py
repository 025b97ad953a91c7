"""Fold an input into the state of a (rule, key), and stage the results: decisions, runs, slots, stops."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import structlog

from retrainer.config.models import Budget
from retrainer.engine.core import budget_balances
from retrainer.engine.core.containment import attempt, contained
from retrainer.engine.core.journal import payload_of
from retrainer.engine.core.notifications import InputLeftOut
from retrainer.engine.core.state_cache import Entry
from retrainer.engine.core.transaction import Folded, Transaction
from retrainer.engine.intake import distinct_by
from retrainer.engine.runs import chains, endings
from retrainer.engine.runs.run_factory import create_run
from retrainer.engine.schedules import slots
from retrainer.engine.schedules.every_key import stage
from retrainer.engine.schedules.spread import EachKey, EveryKey, Spread
from retrainer.rules.decide import step
from retrainer.rules.outcome import Arrived, Ended, Input, Kind, Quarantined, Sampled, Step, Wake
from retrainer.rules.run_end import orphaned
from retrainer.runs.run import Run, RunPhase
from retrainer.store import statements
from retrainer.store.faults import of_whole
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget

log = structlog.get_logger()


def fold_input(tx: Transaction, rule_name: str, key: str, given: Input | Spread) -> Folded | None:
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
    return contained(tx, partial(_step, tx, rule, key, given), partial(_contain, tx, rule, key, given))


def _contain(tx: Transaction, rule: CompiledRule, key: str, given: Input, error: Exception) -> Folded | None:
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
        tx.writes.emit(InputLeftOut(type(given).__name__))
        statements.no_wake(tx.conn, rule.name, key)  # else the same wake-up would be due again at once
        return None


def _evaluates(tx: Transaction, rule: CompiledRule, key: str) -> bool:
    """Whether the rule can be evaluated for this key without the input."""
    return contained(tx, lambda: bool(_step(tx, rule, key, Wake())), lambda _: False)


def _step(tx: Transaction, rule: CompiledRule, key: str, given: Input) -> Folded:
    entry = tx.states.entry(rule, key)
    if isinstance(given, Ended):
        given = chains.recounted(tx.conn, given)
    state, done = step(rule.of_key(key), entry.state, given, tx.now, _remaining_budget(tx, rule))
    if isinstance(given, Ended):
        chains.ended(tx, rule, given, done)
    if not isinstance(given, (Arrived, Sampled)):  # these are in the ledger
        tx.writes.journal(type(given).__name__, rule.name, key, payload_of(given))
    tx.states.changed[rule.name, key] = Entry(entry.id, entry.revision, state, entry.record)
    return Folded(done, _follow(tx, rule, key, entry.id, done))


def _follow(tx: Transaction, rule: CompiledRule, key: str, state_id: int, done: Step) -> tuple[Run, ...]:
    """Create runs and return them, record decisions and slots, stage fan-outs, and request the stop of active runs."""
    run_of: dict[int, Run] = {}
    for place, decision in enumerate(done.decisions):
        run = create_run(tx, rule, key, state_id, decision)
        if decision.kind is Kind.FIRE and decision.new_run is None:  # in shadow mode no run ever returns values
            distinct_by.drop(tx.conn, state_id)
        if run is not None:
            run_of[place] = run
        tx.states.decide((rule.name, key), decision, run.id if run is not None else None)
    slots.settle(tx.writes, rule, key, done, run_of)
    for due in done.fan_out:
        tx.writes.add_fan_out(rule.name, due.trigger, due.slot)
    if done.stop is not None:
        endings.stop_live(tx, rule.name, key, done.stop)
    return tuple(run_of.values())


def _orphaned(tx: Transaction, rule: str, key: str, given: Ended) -> None:
    """A run of a removed rule ended. Update the kept state, so that the run blocks nothing if the rule comes back."""
    entry = tx.states.known(rule, key)
    if entry is not None:
        given = chains.recounted(tx.conn, given)
        tx.states.changed[rule, key] = replace(entry, state=orphaned(entry.state, given, tx.now))
        chains.settle(tx.conn, given, spent=given.phase is RunPhase.SUCCEEDED)


def _remaining_budget(tx: Transaction, rule: CompiledRule) -> RemainingBudget | None:
    if not isinstance(rule.rule.limits.budget, Budget):
        return None  # shared budgets are checked by `admit`
    tx.writes.flush_runs()
    return budget_balances.of_rule(tx.conn, rule, tx.now)
