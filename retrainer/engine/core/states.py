"""The states of each (rule, key) within one transaction: those of the cache, and the changes on top of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.engine.core import rule_changes
from retrainer.engine.core.notifications import DecisionMade
from retrainer.engine.core.state_cache import Cache, DecisionRecord, Entry
from retrainer.engine.intake import distinct_by
from retrainer.rules.fold import first_state, revise
from retrainer.rules.outcome import Decision, Kind
from retrainer.rules.state import VERSION, State, encode
from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from retrainer.engine.core.write_buffer import WriteBuffer
    from retrainer.rules.compile import CompiledRule

MOST_KEYS = 1_000_000
"""Maximum number of keys of a rule: the upper bound of `max_keys`."""


class States:
    """A repository: changed states are written by `flush`, and reach the cache after the commit."""

    STAGED = ("changed", "forgotten", "decided", "_fresh_keys")

    def __init__(self, cache: Cache, writes: WriteBuffer) -> None:
        self._cache, self._writes = cache, writes
        self.changed: dict[tuple[str, str], Entry] = {}
        self.forgotten: set[tuple[str, str]] = set()
        self.decided: list[tuple[str, str]] = []
        """The (rule, key) of each decision, in order."""
        self._fresh_keys: dict[str, int] = defaultdict(int)

    def known(self, rule: str, key: str) -> Entry | None:
        """Return a state as it was last evaluated, or None."""
        entry = self.changed.get((rule, key))
        if entry is not None or (rule, key) in self.forgotten:
            return entry
        return self._cache.get(self._writes.conn, rule, key)

    def entry(self, rule: CompiledRule, key: str) -> Entry:
        """Return the state, revised to the rule's current revision. A new key gets its first state."""
        entry = self.known(rule.name, key)
        if entry is None:
            if key:
                self.keys(rule.name)  # counted before the first new one is written
                self._fresh_keys[rule.name] += 1
            return Entry(self._writes.number("state"), rule.revision, first_state(rule, key, self._writes.now))
        return entry if entry.revision == rule.revision else self._revise(rule, key, entry)

    def _revise(self, rule: CompiledRule, key: str, entry: Entry) -> Entry:
        writes = self._writes
        stale = rule_changes.stale(writes.conn, rule, entry.revision)
        distinct_by.keep_only(writes.conn, entry.id, rule.data.keys() - stale)
        state, records = revise(rule, key, entry.state, writes.now, stale)
        for record in records:
            writes.record_slot(rule.name, key, record, None)
        revised = self.changed[rule.name, key] = Entry(entry.id, rule.revision, state, entry.record)
        return revised

    def live_keys(self, rule: str) -> list[str]:
        """Return the keys of a rule that have a state in the store, in order, without the empty key."""
        return statements.keys_of(self._writes.conn, rule, "", MOST_KEYS)

    def keys(self, rule: str) -> int:
        """Return the number of keys of a rule, including those that are new in this transaction."""
        return self._cache.keys(self._writes.conn, rule) + self._fresh_keys[rule]

    def forget(self, rule: str, key: str) -> None:
        """Record that the caller removes the key's state from the store. The key no longer counts for `max_keys`."""
        self._cache.keys(self._writes.conn, rule)  # counted before it is removed
        self._fresh_keys[rule] -= 1
        self.forgotten.add((rule, key))

    def decide(self, where: tuple[str, str], decision: Decision, run: str | None) -> None:
        """Record a decision. One with the kind and reason of the last one updates its row, unless it fires."""
        self._writes.emit(DecisionMade(*where, decision, run))
        self.decided.append(where)
        entry = self.changed[where]
        last = entry.record
        if (
            last is not None
            and decision.kind is not Kind.FIRE
            and (last.decision.kind, last.decision.reason) == (decision.kind, decision.reason)
        ):
            record = DecisionRecord(last.id, decision, last.first_at, last.count + 1)
        else:
            record = DecisionRecord(self._writes.number("decision"), decision, self._writes.now, 1)
        self._writes.record_decision(*where, record, run)
        self.changed[where] = Entry(entry.id, entry.revision, entry.state, record)

    def absorb(self, rule: CompiledRule, state: State, decision: Decision, more: int, first_at: float) -> None:
        """Merge ``more + 1`` inputs of a rule since ``first_at`` that produced the same decision into one record."""
        where = rule.name, ""
        self.changed[where] = replace(self.entry(rule, ""), state=state)
        self.decide(where, decision, None)
        self.repeated(where, more, first_at)

    def repeated(self, where: tuple[str, str], more: int, first_at: float) -> None:
        """Count the last decision ``more`` times more, consecutively since ``first_at``."""
        entry = self.changed[where]
        record = entry.record
        assert record is not None  # noqa: S101 - for the type checker; the caller has just recorded a decision
        record = replace(record, first_at=first_at if record.count == 1 else record.first_at, count=record.count + more)
        self.changed[where] = replace(entry, record=record)
        self._writes.recount_decision(record)

    def flush(self) -> None:
        """Write the states that changed since the last flush."""
        changed = self._writes.unwritten(self.changed).items()
        statements.put_all(self._writes.conn, t.states, [self._row(where, entry) for where, entry in changed])

    def _row(self, where: tuple[str, str], entry: Entry) -> dict[str, Any]:
        return {
            "id": entry.id,
            "rule": where[0],
            "key": where[1],
            "revision": entry.revision,
            "version": VERSION,
            "state": encode(entry.state),
            "wake_at": entry.state.wake_at,
            "touched_at": self._writes.now,
        }
