"""One transaction: the states of each (rule, key) within it, and what it writes at its end."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from retrainer.engine.core import rule_changes
from retrainer.engine.core.state_cache import Cache, DecisionRecord, Entry
from retrainer.engine.core.transaction_budget import TransactionBudget
from retrainer.engine.core.write_buffer import WriteBuffer
from retrainer.engine.intake import distincts
from retrainer.rules.fold import first_state, revise
from retrainer.rules.outcome import Decision, Input, Kind, Reopened, Step
from retrainer.rules.state import VERSION, encode
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.runs.run_defaults import RunDefaults
    from retrainer.engine.schedules.spread import Spread
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State
    from retrainer.runs.run import Run

log = structlog.get_logger()
MOST_KEYS = 1_000_000
"""Maximum number of keys of a rule: the upper bound of `max_keys`."""


class PendingArrivals(Protocol):
    """Events that are aggregated for a (rule, key) and not folded yet."""

    def __contains__(self, where: tuple[str, str], /) -> bool: ...

    def close(self, where: tuple[str, str]) -> None:
        """Fold the events of one (rule, key)."""

    def clear(self) -> None:
        """Drop all of them."""


class _NoArrivals:
    def __contains__(self, where: tuple[str, str], /) -> bool:
        return False

    def close(self, where: tuple[str, str]) -> None:
        """There are none."""

    def clear(self) -> None:
        """There are none."""


@dataclass(frozen=True, slots=True)
class TransactionContext:
    """What all transactions share. ``fold`` folds an input into the state of a (rule, key)."""

    catalog: Catalog
    cache: Cache
    run_defaults: RunDefaults
    fold: Callable[[Transaction, str, str, Input | Spread], Step | None]


class Transaction(WriteBuffer):
    """The states and staged rows of one transaction, used until its commit."""

    def __init__(self, conn: Connection, context: TransactionContext, counters: dict[str, int], now: float) -> None:
        super().__init__(conn, counters, now)
        self.careful = False
        """Whether each unit of work has its own savepoint; see `retrainer.engine.core.containment`."""
        self.budget = TransactionBudget()
        self.unseen: list[str] = []
        """Newly loaded rules that are not evaluated yet. The list is replaced, never changed in place."""
        self.catalog = context.catalog
        self.run_defaults = context.run_defaults
        self.arrivals: PendingArrivals = _NoArrivals()
        self.changed: dict[tuple[str, str], Entry] = {}
        self.forgotten: set[tuple[str, str]] = set()
        self.pools_changed = False
        self.stops = False
        self.fans_out = False
        """Whether this transaction staged fan-outs."""
        self.polled: ChainMap[tuple[str, str], set[str]] = ChainMap()
        """Keys that had series in the last poll, by (rule, trigger). Changes go into the first map."""
        self._cache, self._fold = context.cache, context.fold
        self._fresh_keys: dict[str, int] = defaultdict(int)
        self.after: list[tuple[str, str, Input | Spread]] = []
        """Inputs to fold next, before any other."""

    def entry(self, rule: CompiledRule, key: str) -> Entry:
        """Return the state in this transaction, revised to the rule's current revision."""
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
        """Record that the caller removes the key's state from the store. The key no longer counts for `max_keys`."""
        self._cache.keys(self.conn, rule)  # counted before it is removed
        self._fresh_keys[rule] -= 1
        self.forgotten.add((rule, key))

    def known(self, rule: str, key: str) -> Entry | None:
        entry = self.changed.get((rule, key))
        if entry is not None or (rule, key) in self.forgotten:
            return entry
        return self._cache.get(self.conn, rule, key)

    def live_keys(self, rule: str) -> list[str]:
        """Return the keys of a rule that have a state in the store, in order, without the empty key."""
        return statements.keys_of(self.conn, rule, "", MOST_KEYS)

    def keys(self, rule: str) -> int:
        """Return the number of keys of a rule, including those that are new in this transaction."""
        return self._cache.keys(self.conn, rule) + self._fresh_keys[rule]

    def take(self, rule_name: str, key: str, given: Input | Spread) -> Step | None:
        """Fold an input and the inputs that directly follow from it. Return None if the rule does not exist."""
        self.arrivals.close((rule_name, key))
        try:
            done = self._fold(self, rule_name, key, given)
        except Exception as error:
            if self.careful and not of_whole(error):
                self.settle()  # fold what the evaluation of the key without the input left
            raise
        self.settle()
        return done

    def record(self, rule: str, key: str, entry: Entry, decision: Decision, run: str | None) -> Entry:
        """Record a decision. One with the kind and reason of the last one updates its row, unless it fires."""
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
        """Merge ``more + 1`` consecutive inputs since ``first_at`` that produced the same decision into one record."""
        entry = self.entry(self.catalog.rules[where[0]], where[1])
        self.changed[where] = self.record(*where, Entry(entry.id, entry.revision, state, entry.record), decision, None)
        self.repeated(where, more, first_at)

    def repeated(self, where: tuple[str, str], more: int, first_at: float) -> None:
        """Count the last decision ``more`` times more, consecutively since ``first_at``."""
        entry = self.changed[where]
        record = entry.record
        assert record is not None  # noqa: S101 - for the type checker; the caller has just recorded a decision
        record = replace(record, first_at=first_at if record.count == 1 else record.first_at, count=record.count + more)
        self.changed[where] = replace(entry, record=record)
        self.recount_decision(record)

    def adopt(self, run: Run) -> None:
        """Stage a manually requested run. It counts as active like any other run."""
        self.flush_runs()
        self.created[run.id] = run
        self.pools_changed = True
        self.emit("run.created", run=run)
        self.take(run.rule, run.key, Reopened(run.id))

    def settle(self) -> None:
        """Fold the inputs in `after`."""
        while self.after:
            self._fold(self, *self.after.pop(0))

    def flush(self) -> None:
        """Write the staged rows and the changed states."""
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
