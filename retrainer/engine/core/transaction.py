"""One transaction's worth of work: inputs are folded, what follows is staged, and written at the end in one go."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.config.models import Budget
from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.core.containment import attempt
from retrainer.engine.core.journal import payload_of
from retrainer.engine.core.state_cache import Cache, DecisionRecord, Entry
from retrainer.engine.core.transaction_budget import TransactionBudget
from retrainer.engine.core.write_buffer import WriteBuffer
from retrainer.engine.intake import distincts
from retrainer.engine.intake.arrivals import Arrivals
from retrainer.engine.runs import chains, endings
from retrainer.engine.runs.run_factory import RunDefaults, create_run
from retrainer.engine.schedules import slots
from retrainer.engine.schedules.every_key import EachKey, EveryKey, stage
from retrainer.rules.decide import step
from retrainer.rules.fold import first_state, revise
from retrainer.rules.outcome import Arrived, Decision, Ended, Input, Kind, Quarantined, Reopened, Sampled, Step, Wake
from retrainer.rules.run_end import orphaned
from retrainer.rules.state import VERSION, encode
from retrainer.runs.run import Run, RunPhase
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.faults import of_whole
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.schedules.every_key import Spread
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget
    from retrainer.rules.state import State

log = structlog.get_logger()
MOST_KEYS = 1_000_000
"""No rule may have more: it is the bound of `max_keys`."""


class Transaction(WriteBuffer):
    """Lives for one transaction."""

    def __init__(
        self,
        conn: Connection,
        catalog: Catalog,
        cache: Cache,
        counters: dict[str, int],
        now: float,
        run_defaults: RunDefaults,
    ) -> None:
        super().__init__(conn, counters, now)
        self.careful = False
        """Whether each unit of work has a savepoint of its own; see `retrainer.engine.core.containment`."""
        self.budget = TransactionBudget()
        self.unseen: list[str] = []
        """Rules that are to be evaluated since they were loaded; never changed in place."""
        self.catalog = catalog
        self.run_defaults = run_defaults
        self.arrivals = Arrivals(self)
        self.changed: dict[tuple[str, str], Entry] = {}
        self.forgotten: set[tuple[str, str]] = set()
        self.pools_changed = False
        self.stops = False
        self.fans_out = False
        """Whether slots are due that are to be spoken to keys."""
        self.polled: ChainMap[tuple[str, str], set[str]] = ChainMap()
        """Keys that had series of a metric in the last poll, by rule and trigger; changes go into the first map."""
        self._cache = cache
        self._fresh_keys: dict[str, int] = defaultdict(int)
        self.after: list[tuple[str, str, Input | Spread]] = []
        """What is to be folded in next, before anything else."""

    def entry(self, rule: CompiledRule, key: str) -> Entry:
        """The state as it is in this transaction, brought to the rule's present revision."""
        if (rule.name, key) in self.arrivals:
            return self.changed[rule.name, key]
        entry = self.known(rule.name, key)
        if entry is None:
            if key:
                self.keys(rule.name)  # counted before the first new one is written
                self._fresh_keys[rule.name] += 1
            return Entry(self.number("state"), rule.revision, first_state(rule, key, self.now))
        if entry.revision != rule.revision:
            return self._revise(rule, key, entry)
        return entry

    def _revise(self, rule: CompiledRule, key: str, entry: Entry) -> Entry:
        stale = rule_changes.stale(self.conn, rule, entry.revision)
        distincts.keep_only(self.conn, entry.id, rule.data.keys() - stale)
        state, records = revise(rule, key, entry.state, self.now, stale)
        for record in records:
            self.record_slot(rule.name, key, record, None)
        revised = self.changed[rule.name, key] = Entry(entry.id, rule.revision, state, entry.record)
        return revised

    def forget(self, rule: str, key: str) -> None:
        """The key's state is about to be removed from the store, and leaves its room to another key at once."""
        self._cache.keys(self.conn, rule)  # counted before it goes
        self._fresh_keys[rule] -= 1
        self.forgotten.add((rule, key))

    def known(self, rule: str, key: str) -> Entry | None:
        entry = self.changed.get((rule, key))
        if entry is not None or (rule, key) in self.forgotten:
            return entry
        return self._cache.get(self.conn, rule, key)

    def live_keys(self, rule: str) -> list[str]:
        """The keys of a rule that have a state in the store, in order, without the empty one."""
        return statements.keys_of(self.conn, rule, "", MOST_KEYS)

    def keys(self, rule: str) -> int:
        """How many it has, with those that are new in this transaction."""
        return self._cache.keys(self.conn, rule) + self._fresh_keys[rule]

    def take(self, rule_name: str, key: str, given: Input | Spread) -> Step | None:
        """Fold an input in, with all that follows from it at once. None if there is no such rule (any more)."""
        self.arrivals.close((rule_name, key))
        try:
            done = self._take_one(rule_name, key, given)
        except Exception as error:
            if self.careful and not of_whole(error):
                self.settle()  # what evaluating the key without the input has led to
            raise
        self.settle()
        return done

    def _take_one(self, rule_name: str, key: str, given: Input | Spread) -> Step | None:
        rule = self.catalog.rules.get(rule_name)
        if isinstance(given, (EveryKey, EachKey)):
            stage(self, rule_name, given)
            return None
        if rule is None:
            if isinstance(given, Ended):
                self._orphaned(rule_name, key, given)
            return None
        if not self.careful:
            return self._step(rule, key, given)
        try:
            return attempt(self, lambda: self._step(rule, key, given))
        except Exception as error:
            if of_whole(error):
                raise
            return self._contain(rule, key, given, error)

    def _contain(self, rule: CompiledRule, key: str, given: Input, error: Exception) -> Step | None:
        """An event that the key does not bear is raised to whoever brought it; else the key is quarantined.

        In quarantine the input is kept, if it can be; what cannot even be kept is told and left out.
        """
        of_an_event = isinstance(given, (Arrived, Sampled))
        if of_an_event and self._evaluates(rule, key):
            raise error
        log.error("rule.quarantined", rule=rule.name, key=key, input=type(given).__name__, exc_info=error)
        try:
            attempt(self, lambda: self._step(rule, key, Quarantined(words(error))))
            return attempt(self, lambda: self._step(rule, key, given))
        except Exception as kept:
            if of_an_event or of_whole(kept):
                raise
            log.exception("input.left_out", rule=rule.name, key=key, input=type(given).__name__)
            self.emit("left_out", unit=type(given).__name__)
            statements.no_wake(self.conn, rule.name, key)  # else it would be woken for it again at once
            return None

    def _evaluates(self, rule: CompiledRule, key: str) -> bool:
        """Whether the rule can be evaluated for this key as it stands."""
        try:
            attempt(self, lambda: self._step(rule, key, Wake()))
        except Exception as error:
            if of_whole(error):
                raise
            return False
        return True

    def _step(self, rule: CompiledRule, key: str, given: Input) -> Step:
        entry = self.entry(rule, key)
        if isinstance(given, Ended):
            given = chains.recounted(self.conn, given)
        state, done = step(rule.of_key(key), entry.state, given, self.now, self._remaining_budget(rule))
        if isinstance(given, Ended):
            chains.ended(self, rule, given, done)
        if not isinstance(given, (Arrived, Sampled)):  # which stand in the ledger
            self.journal(type(given).__name__, rule.name, key, payload_of(given))
        self.changed[rule.name, key] = Entry(entry.id, entry.revision, state, entry.record)
        self._follow(rule, key, entry.id, done)
        return done

    def _follow(self, rule: CompiledRule, key: str, state_id: int, done: Step) -> None:
        """Runs are born, decisions are noted, slots have their records, and what is in the way is asked to end."""
        where = rule.name, key
        run_of: dict[int, str] = {}
        for place, decision in enumerate(done.decisions):
            run = create_run(self, rule, key, state_id, decision) if decision.new_run is not None else None
            if decision.kind is Kind.FIRE and decision.new_run is None:  # in shadow nobody gives anything back
                distincts.drop(self.conn, state_id)
            if run is not None:
                run_of[place] = run
            self.changed[where] = self._note(*where, self.changed[where], decision, run)
        slots.settle(self, rule, key, done, run_of)
        self.fans_out = self.fans_out or bool(done.fan_out)
        for due in done.fan_out:
            row = {"rule": rule.name, "trigger": due.trigger, "slot": due.slot, "after": "", "input": None}
            self.rows["fan_outs"].append(row)
        if done.stop is not None:
            endings.stop_live(self, rule.name, key, done.stop)

    def _orphaned(self, rule: str, key: str, given: Ended) -> None:
        """The rule is gone. Its state waits for it to come back: a run that ends meanwhile is in nobody's way then."""
        entry = self.known(rule, key)
        if entry is not None:
            given = chains.recounted(self.conn, given)
            self.changed[rule, key] = replace(entry, state=orphaned(entry.state, given, self.now))
            chains.settle(self.conn, given, spent=given.phase is RunPhase.SUCCEEDED)

    def _remaining_budget(self, rule: CompiledRule) -> RemainingBudget | None:
        if not isinstance(rule.rule.limits.budget, Budget):
            return None  # a shared one is admission's
        self.flush_runs()
        return budget_balances.of_rule(self.conn, rule, self.now)

    def _note(self, rule: str, key: str, entry: Entry, decision: Decision, run: str | None) -> Entry:
        """Store the decision; one that equals the last one is folded into its row."""
        self.emit("decided", rule=rule, key=key, decision=decision, run=run, count=1)
        record = entry.record
        same = (
            record is not None
            and decision.kind is not Kind.FIRE
            and (record.decision.kind, record.decision.reason) == (decision.kind, decision.reason)
        )
        if same and record is not None:
            record = DecisionRecord(record.id, decision, record.first_at, record.count + 1)
        else:
            record = DecisionRecord(self.number("decision"), decision, self.now, 1)
        self.record_decision(rule, key, record, run)
        return Entry(entry.id, entry.revision, entry.state, record)

    def absorb(self, where: tuple[str, str], state: State, decision: Decision, more: int, first_at: float) -> None:
        """Several inputs in a row since ``first_at``, one and so many more, lead to this state, all answered alike."""
        entry = self.entry(self.catalog.rules[where[0]], where[1])
        self.changed[where] = self._note(*where, Entry(entry.id, entry.revision, state, entry.record), decision, None)
        self.repeated(where, more, first_at)

    def repeated(self, where: tuple[str, str], more: int, first_at: float) -> None:
        """The last decision was reached so many times more, in a row since ``first_at``."""
        entry = self.changed[where]
        record = entry.record
        assert record is not None  # noqa: S101 - for the type checker; the caller has just decided something
        record = replace(record, first_at=first_at if record.count == 1 else record.first_at, count=record.count + more)
        self.changed[where] = replace(entry, record=record)
        self.recount_decision(record)

    def adopt(self, run: Run) -> None:
        """Stage a run that somebody asked for by hand; it counts as on its way like any other."""
        self.flush_runs()
        self.created[run.id] = run
        self.pools_changed = True
        self.emit("run.created", run=run)
        self.take(run.rule, run.key, Reopened(run.id))

    def settle(self) -> None:
        """Fold in what acts left to be folded."""
        while self.after:
            self._take_one(*self.after.pop(0))

    def flush(self) -> None:
        """Write what was staged, and the states."""
        super().flush()
        changed = self.unwritten(self.changed).items()
        statements.put_all(self.conn, t.states, [self._state_row(where, entry) for where, entry in changed])

    def _state_row(self, where: tuple[str, str], entry: Entry) -> dict[str, Any]:
        return {
            "id": entry.id,
            "rule": where[0],
            "key": where[1],
            "revision": entry.revision,
            "version": VERSION,
            "state": encode(entry.state),
            "wake_at": entry.state.wake_at,
            "touched_at": self.now,
        }
