"""The last verdict of every rule, for counts, filters and orders over all rules.

`explain` makes the verdicts; this only remembers them, and has them made again for rules that changed: in the store, in
the catalog, or because the time has come until which a verdict holds. Every replica reads the changes for itself.
"""

from __future__ import annotations

import heapq
import math
import threading
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from retrainer.engine.core import budget_balances, rule_changes
from retrainer.rules.explain import verdict_line
from retrainer.rules.outcome import Reason
from retrainer.rules.period import DAY, period
from retrainer.store import statements
from retrainer.store.changes import StoreMark, changed_since

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Row

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget
    from retrainer.rules.state import State
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

INTERVAL = 1.0
"""Seconds between two calls of `Verdicts.work`."""
SHARE = 0.05
"""Share of the time that `work` takes at most while somebody looks."""
FIRST_SHARE = 0.2
"""The same until every verdict was made once."""
LOOKED = 60.0
"""Seconds for which `work` goes on after somebody looked."""
CHUNK = 20
"""Rules that are read at once, in a few milliseconds."""
COMPARED = 500
"""Rules whose times of change are read at once."""
LATE = 2
"""A rule is late if it did not succeed for so many of its periods, as in the alert RetrainerRuleNotSucceeded."""
BROKEN: Final = (Reason.QUARANTINED, Reason.CIRCUIT_OPEN, Reason.BAD_PARAMETERS)
"""Reasons that only a person ends."""
FIRES: Final = 3
"""The rank of a rule that would fire now. Higher ones have nothing to do."""
_IDLE = frozenset(
    (
        Reason.WAITING,
        Reason.FRESH,
        Reason.BATCH_INCOMPLETE,
        Reason.BELOW_THRESHOLD,
        Reason.QUIET,
        Reason.MISSING_TRIGGER,
    )
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `explain` says of a rule without a key. Times are epoch seconds.

    ``verdict`` is the sentence as of ``at``: it may name an age, and is not made again while nothing else changes.
    ``since``: since when it stands, None if nothing stored says so. ``late_at``: when the rule is
    late unless it succeeds before, None if it has no period or is not meant to run.
    """

    rule: str
    decision: str
    reason: str
    verdict: str
    until: float | None
    earliest: float | None
    since: float | None
    late_at: float | None
    at: float
    version: tuple[str, bool]
    """Revision of the rule, and whether it is paused."""
    touched_at: float | None
    """When its state was written; None if it has none."""
    holds_until: float
    """The time at which it may be another without a change."""

    @property
    def rank(self) -> int:
        """As `rank`."""
        return rank(self.decision, self.reason)


@cache
def rank(decision: str, reason: str) -> int:
    """Return how much a verdict needs somebody: 0 for what only a person ends, then held, `FIRES`, idle at last."""
    if reason in BROKEN:
        return 0
    if reason == Reason.NO_DATA:
        return 1
    if decision == "fire":
        return FIRES
    return FIRES + 1 if reason in _IDLE else 2


@dataclass(frozen=True, slots=True)
class VerdictCounts:
    """How many rules there are, of how many the verdict is known, and how many have each (decision, reason)."""

    rules: int
    known: int
    by: Mapping[tuple[str, str], int]


class Verdicts:
    """Thread-safe. `work` is to be called every `INTERVAL`; it does nothing unless somebody looked lately."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog]) -> None:
        self._store, self._clock, self._newest = store, clock, catalog
        self._catalog: Catalog | None = None
        self._known: dict[str, Verdict] = {}
        self._due: dict[str, None] = {}
        """Names of rules whose verdict is not known, or may be another by now."""
        self._ends: list[tuple[float, str]] = []
        """A heap of when verdicts end; some have been made again since."""
        self._mark: StoreMark | None = None
        self.version = 0
        """Grows with each change that was found, and with each verdict that was made."""
        self._looked_at = self._caught_up_at = -math.inf
        self._lock = threading.RLock()
        self._periods: dict[tuple[object, ...], float | None] = {}
        self._periods_of = -1

    def look(self) -> None:
        """Say that somebody looks: the verdicts are kept up to date for the next minute."""
        self._looked_at = self._clock.monotonic()

    def work(self) -> None:
        """Read what changed, and make some of the verdicts that are due. Raise StoreError."""
        began = self._clock.monotonic()
        if began - self._looked_at > LOOKED:
            return
        self.catch_up()
        share = SHARE if len(self._known) >= len(self._newest().rules) else FIRST_SHARE
        while self._due and self._clock.monotonic() - began < share * INTERVAL:
            self._make(list(self._due)[:CHUNK])

    def hurry(self, most: int) -> None:
        """Make at most so many of the verdicts that are due. Raise StoreError."""
        for at in range(0, most, CHUNK):
            if not self._due:
                return
            self._make(list(self._due)[: min(CHUNK, most - at)])

    def of(self, names: Iterable[str]) -> dict[str, Verdict]:
        """Return the verdicts that are known, by name, the last one of a rule that changed since."""
        known = self._known
        return {name: known[name] for name in names if name in known}

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return the rules whose verdict is not known or may be another, as of the last `catch_up`."""
        return [name for name in names if name in self._due]

    def current(self, names: Sequence[str]) -> dict[str, Verdict]:
        """Return verdicts as of the last `catch_up`; those that are missing are made at once, at half a ms each."""
        due = self.missing(names)
        for at in range(0, len(due), CHUNK):
            self._make(due[at : at + CHUNK])
        return self.of(names)

    def counts(self, only: Collection[str] | None = None) -> VerdictCounts:
        """Count the verdicts of all rules, or of those in ``only``."""
        names = self._names(only)
        found = self.of(names)
        return VerdictCounts(len(names), len(found), Counter((v.decision, v.reason) for v in found.values()))

    def known(self, only: Collection[str] | None = None) -> Collection[Verdict]:
        """Return the known verdicts of all rules, or of those in ``only``, in no order."""
        return self.of(self._names(only)).values()

    def worst_first(self, only: Collection[str] | None = None) -> list[Verdict]:
        """Return the known verdicts by rank, then by name."""
        return sorted(self.known(only), key=lambda verdict: (verdict.rank, verdict.rule))

    def _names(self, only: Collection[str] | None) -> Collection[str]:
        rules = self._newest().rules
        return rules.keys() if only is None else [name for name in only if name in rules]

    def catch_up(self) -> None:
        """Find out which verdicts may be others by now. Raise StoreError."""
        with self._lock:
            catalog = self._newest()
            began, last = self._clock.monotonic(), self._caught_up_at
            self._mark, changed = self._store.read(partial(changed_since, mark=self._mark))
            if catalog is not self._catalog:
                self._take_over(catalog)
            self._caught_up_at = began
            self.version += bool(changed) or catalog is not self._catalog
            if changed.everything or began - last > LOOKED:
                self._compare()
            self._due.update(dict.fromkeys(name for name in changed.rules if name in catalog.rules))
            now = self._clock.now()
            while self._ends and self._ends[0][0] <= now:
                ended, name = heapq.heappop(self._ends)
                if name in self._known and self._known[name].holds_until == ended:
                    self._due[name] = None

    def _take_over(self, catalog: Catalog) -> None:
        """Forget rules that are gone. Those that are new, edited, paused or resumed are due."""
        self._known = {name: verdict for name, verdict in self._known.items() if name in catalog.rules}
        changed = (
            n for n, rule in catalog.rules.items() if n not in self._known or self._known[n].version != _version(rule)
        )
        self._due = dict.fromkeys((*(name for name in self._due if name in catalog.rules), *changed))
        self._catalog = catalog

    def _compare(self) -> None:
        """Find the rules whose state was written since: what changed is too much to name, or pruned in a pause."""
        names = list(self._known)
        for at in range(0, len(names), COMPARED):
            some = names[at : at + COMPARED]
            touched = self._store.read(partial(statements.touched, rules=some))
            self._due.update(dict.fromkeys(n for n in some if touched.get(n) != self._known[n].touched_at))

    def _make(self, names: Sequence[str]) -> None:
        """Make these verdicts. The store is only read while it is held; the verdicts are made after that."""
        with self._lock:
            catalog, now = self._catalog or self._newest(), self._clock.now()
            rules = [catalog.rules[name] for name in names if name in catalog.rules]
            basis = self._store.read(partial(_read, rules=rules, now=now))
            for rule in rules:
                verdict = self._verdict(rule, basis[rule.name], now)
                self._known[rule.name] = verdict
                if verdict.holds_until < math.inf:
                    heapq.heappush(self._ends, (verdict.holds_until, rule.name))
            for name in names:
                self._due.pop(name, None)
            self.version += 1

    def _verdict(self, rule: CompiledRule, basis: _Basis, now: float) -> Verdict:
        state = basis.state
        line = verdict_line(rule.of_key(""), "", state, now, basis.remaining_budget)
        moments = (basis.wake_at, line["until"], line["earliest"])
        return Verdict(
            **{name: line[name] for name in ("rule", "decision", "reason", "verdict", "until", "earliest")},
            since=_since(basis, line["decision"], line["reason"]),
            late_at=self._late_at(rule, state, now),
            at=now,
            version=_version(rule),
            touched_at=basis.touched_at,
            holds_until=min((m for m in moments if m is not None and m > now), default=math.inf),
        )

    def _late_at(self, rule: CompiledRule, state: State, now: float) -> float | None:
        if not rule.schedules or rule.per_key or rule.paused or rule.rule.mode != "active":
            return None
        if self._periods_of != (day := int(now // DAY)):
            self._periods, self._periods_of = {}, day
        seconds = period(rule, now, self._periods)
        trained = state.last_succeeded if state.last_succeeded is not None else state.seen_at
        return None if seconds is None else trained + LATE * seconds


@dataclass(frozen=True, slots=True)
class _Basis:
    """What the store has of a rule: its state with the empty key, and its last decision."""

    state: State
    wake_at: float | None
    touched_at: float | None
    remaining_budget: RemainingBudget | None
    last: Row[Any] | None


def _since(basis: _Basis, decision: str, reason: str) -> float | None:
    """Return since when a verdict stands: what opened the circuit breaker is the end of a run, not a decision."""
    if basis.state.quarantine is not None:
        return basis.state.quarantine.at
    if reason == Reason.CIRCUIT_OPEN:
        return basis.state.last_completed
    last = basis.last
    return last.first_at if last is not None and (last.decision, last.reason) == (decision, reason) else None


def _read(conn: Connection, rules: Sequence[CompiledRule], now: float) -> dict[str, _Basis]:
    names = [rule.name for rule in rules]
    rows, last = statements.root_states(conn, names), statements.last_decisions(conn, names)
    found = {}
    for rule in rules:
        row = rows.get(rule.name)
        wake_at, touched_at = (None, None) if row is None else (row.wake_at, row.touched_at)
        state = rule_changes.of_row(conn, rule, "", row, now)
        remaining = budget_balances.of_rule(conn, rule, now)
        found[rule.name] = _Basis(state, wake_at, touched_at, remaining, last.get(rule.name))
    return found


def _version(rule: CompiledRule) -> tuple[str, bool]:
    return rule.revision, rule.paused
