"""Collects metrics from the store at each scrape."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import func, select

from retrainer.daemon.source_health import silent
from retrainer.engine.core import budget_balances, rule_changes
from retrainer.rules.fold import revise
from retrainer.rules.outcome import Reason
from retrainer.rules.period import DAY, periods
from retrainer.rules.state import decode, encode
from retrainer.rules.threshold_state import threshold_from
from retrainer.rules.triggers.level import worst
from retrainer.runs.run import RunPhase
from retrainer.store import queries
from retrainer.store import tables as t
from retrainer.store.base import StoreError
from retrainer.telemetry.metrics import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.sources.base import Source
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

PAGE = 500
"""States per read. The engine waits while a page is read."""
REST = 20
"""Counting states takes at most one part in `REST` of the time, however many keys there are."""
SHORTEST_REST = 5.0


@dataclass(slots=True)
class StoreCounts:
    """Totals over the states of all (rule, key), for `Standing`."""

    rules: Mapping[str, CompiledRule] = field(default_factory=dict)
    pending: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    next_fire: dict[str, float] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    trained: dict[str, float] = field(default_factory=dict)
    promoted: dict[str, float] = field(default_factory=dict)
    untrained: dict[str, float] = field(default_factory=dict)
    unpromoted: dict[str, float] = field(default_factory=dict)
    succeeded: dict[str, float] = field(default_factory=dict)
    fired: dict[str, float] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    budget_left: dict[str, dict[str, float]] = field(default_factory=dict)

    def count(self, rule: str, key: str, text: str) -> None:
        state = orjson.loads(text)
        if window := state.get("window"):
            events, rows, size = self.pending.get(rule, (0, 0, 0))
            self.pending[rule] = (events + window["events"], rows + window["rows"], size + window["bytes"])
        for _, next_at, _ in (state.get("cursors") or {}).values():
            if next_at is not None:
                self.next_fire[rule] = min(next_at, self.next_fire.get(rule, next_at))
        self._age(self.rules.get(rule), rule, key, state)
        if failures := state.get("failures"):
            self.failures[rule] = max(failures, self.failures.get(rule, 0))
        if state.get("broken"):
            self.broken.add(rule)
        if state.get("quarantine"):
            self.quarantined.add(rule)
        if gauges := state.get("gauges"):
            self._measure(rule, gauges)

    def _age(self, compiled: CompiledRule | None, rule: str, key: str, state: Mapping[str, Any]) -> None:
        trained, promoted, fired = (state.get(f"last_{what}") for what in ("succeeded", "promoted", "fired"))
        _lower(self.trained, rule, trained)
        _lower(self.promoted, rule, promoted)
        if compiled is None:
            return
        if trained is None and (key or not compiled.per_key):  # the empty key of a rule with keys has no model
            _lower(self.untrained, rule, state["seen_at"])
        if promoted is None and any(age.of == "promoted" for age in compiled.of_key(key).freshness.values()):
            _lower(self.unpromoted, rule, state["seen_at"])
        if compiled.rule.mode != "shadow":
            _raise(self.succeeded, rule, trained)
            _raise(self.fired, rule, fired)

    @property
    def paused(self) -> dict[str, dict[str, bool]]:
        return {
            name: {"manual": r.paused, "failures": name in self.broken, "quarantine": name in self.quarantined}
            for name, r in self.rules.items()
        }

    def _measure(self, rule: str, gauges: Mapping[str, Any]) -> None:
        compiled = self.rules.get(rule)
        values = self.values[rule]
        for name, raw in gauges.items():
            trigger = compiled.gauges.get(name) if compiled is not None else None
            if trigger is None or trigger.reason is not Reason.THRESHOLD:
                continue
            furthest = worst(trigger.threshold, threshold_from(raw).series.values())
            if furthest is not None:
                further = max if trigger.threshold.high else min
                values[name] = further(furthest, values.get(name, furthest))


def _lower(moments: dict[str, float], rule: str, moment: float | None) -> None:
    if moment is not None:
        moments[rule] = min(moment, moments.get(rule, moment))


def _raise(moments: dict[str, float], rule: str, moment: float | None) -> None:
    if moment is not None:
        moments[rule] = max(moment, moments.get(rule, moment))


class StoreCollector:
    """Called at each scrape. `sources` returns all configured sources, None for those that the web server serves.

    `trouble`: why the store cannot be written. `leads`: whether this daemon is the leader. `room`: free bytes for the
    store, if known. `expected`: the seconds within which each source should receive something, None if it need not.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        queued: Callable[[], int],
        trouble: Callable[[], str],
        leads: Callable[[], bool],
        room: Callable[[], int | None],
        sources: Callable[[], Mapping[str, Source | None]],
        expected: Callable[[], Mapping[str, float | None]],
        watch_restarts: Callable[[], int],
        catalog: Callable[[], Catalog],
    ) -> None:
        self._store, self._clock, self._queued, self._sources = store, clock, queued, sources
        self._trouble, self._leads, self._room = trouble, leads, room
        self._seen = Standing()
        self._expected, self._watch_restarts, self._catalog = expected, watch_restarts, catalog
        self._counted = ""
        self._counts = StoreCounts()
        self._next_tally = 0.0
        self._periods: Mapping[str, float] = {}
        self._periods_of: tuple[str, int] = "", 0

    def __call__(self) -> Standing:
        """Return the current values. While the store does not answer, those counted there keep their last value."""
        try:
            self._seen = self._count()
        except StoreError:
            self._seen = replace(self._seen, store_writable=False, queued=self._queued(), leader=self._leads())
        return self._seen

    def _count(self) -> Standing:
        active, dead_letters = self._store.read(_count)
        heard = self._store.read(queries.heard)
        now = self._clock.now()
        sources = self._sources()
        looking = {name: source for name, source in sources.items() if source is not None}
        judged = {name: silent(every, heard.get(name), now) for name, every in self._expected().items()}
        counts = self._fresh_counts()
        return Standing(
            active=active,
            pending=counts.pending,
            next_fire=counts.next_fire,
            values=counts.values,
            trained=counts.trained,
            promoted=counts.promoted,
            untrained=counts.untrained,
            unpromoted=counts.unpromoted,
            succeeded=counts.succeeded,
            fired=counts.fired,
            failures=counts.failures,
            paused=counts.paused,
            periods=self._fresh_periods(now),
            budget_left=counts.budget_left,
            sources={name: source is None or source.last_error is None for name, source in sources.items()},
            lag={name: source.lag for name, source in looking.items() if source.lag is not None},
            halted={name: len(source.halted) for name, source in looking.items()},
            last_event={name: h.last_event_at for name, h in heard.items() if h.last_event_at is not None},
            silent={name: quiet for name, quiet in judged.items() if quiet is not None},
            poll_errors={name: source.poll_errors for name, source in looking.items()},
            dead_letters=dead_letters,
            store_bytes=self._store.size(),
            store_free_bytes=self._room(),
            store_writable=not self._trouble(),
            leader=self._leads(),
            queued=self._queued(),
            watch_restarts=self._watch_restarts(),
        )

    def _fresh_periods(self, now: float) -> Mapping[str, float]:
        """Return the periods, computed once a day and for each new revision of the rules."""
        catalog = self._catalog()
        if self._periods_of != (asked := (catalog.revision, int(now // DAY))):
            self._periods, self._periods_of = periods(catalog.rules, now), asked
        return self._periods

    def _fresh_counts(self) -> StoreCounts:
        """Return the counts, computed again after a pause and for each new revision of the rules."""
        began = self._clock.monotonic()
        catalog = self._catalog()
        if began < self._next_tally and catalog.revision == self._counted:
            return self._counts
        counts = StoreCounts(
            catalog.rules, budget_left=self._store.read(partial(_left, catalog=catalog, now=self._clock.now()))
        )
        last = -1
        page = partial(_states, rules=catalog.rules, now=self._clock.now())
        while rows := self._store.read(partial(page, after=last)):
            for _, rule, key, text in rows:
                counts.count(rule, key, text)
            last = rows[-1][0]
        ended = self._clock.monotonic()
        self._counts, self._counted = counts, catalog.revision
        self._next_tally = ended + max(SHORTEST_REST, REST * (ended - began))
        return counts


def _left(conn: Connection, catalog: Catalog, now: float) -> dict[str, dict[str, float]]:
    found, _ = budget_balances.balances(conn, catalog, {*catalog.payers, *catalog.budgets}, now, budget_balances.logged)
    left = {name: {"runs": balance.runs, "gpu_hours": balance.hours} for name, balance in found.items()}
    return {name: {unit: max(n, 0.0) for unit, n in of.items() if n is not None} for name, of in left.items()}


def free_bytes(path: str) -> int | None:
    """Return the free bytes on a file's volume; None if they cannot be read."""
    try:
        return shutil.disk_usage(Path(path).absolute().parent).free
    except OSError:
        return None


def _states(
    conn: Connection, rules: Mapping[str, CompiledRule], now: float, after: int
) -> list[tuple[int, str, str, str]]:
    """Return a page of (id, rule, key, state). Parts that a changed rule invalidates are dropped from the state."""
    c = t.states.c
    page = select(c.id, c.rule, c.key, c.revision, c.state).where(c.id > after).order_by(c.id).limit(PAGE)
    dropped: dict[tuple[str, str], frozenset[str]] = {}
    states = []
    for row in conn.execute(page).all():
        rule, text = rules.get(row.rule), row.state
        if rule is not None and row.revision != rule.revision:
            edit = row.rule, row.revision
            if edit not in dropped:
                dropped[edit] = rule_changes.stale(conn, rule, row.revision)
            if dropped[edit]:
                text = encode(revise(rule, row.key, decode(text), now, dropped[edit])[0])
        states.append((row.id, row.rule, row.key, text))
    return states


def _count(conn: Connection) -> tuple[dict[tuple[str, RunPhase], int], int]:
    c = t.runs.c
    live = select(c.rule, c.phase, func.count()).where(c.ended_at.is_(None)).group_by(c.rule, c.phase)
    active = {(rule, RunPhase(phase)): count for rule, phase, count in conn.execute(live)}
    return active, conn.execute(select(func.count()).select_from(t.dead_letters)).scalar_one()
