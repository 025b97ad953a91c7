"""Collects metrics from the store at each scrape."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from sqlalchemy import func, select

from retrainer.engine.core import budget_balances, rule_changes
from retrainer.rules.fold import revise
from retrainer.rules.outcome import Reason
from retrainer.rules.period import DAY, periods
from retrainer.rules.state import decode, encode
from retrainer.rules.threshold_state import threshold_from
from retrainer.rules.triggers.freshness import needs_promotion
from retrainer.rules.triggers.level import worst
from retrainer.runs.run import RunPhase
from retrainer.store import last_backup, queries
from retrainer.store import tables as t
from retrainer.store.base import StoreError
from retrainer.telemetry.metrics import Collected
from retrainer.telemetry.rule_metrics import RuleStatus
from retrainer.telemetry.source_metrics import SourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.sources.base import Source
    from retrainer.store.base import Store
    from retrainer.store.queries import Heard
    from retrainer.telemetry.engine_metrics import EngineStatus
    from retrainer.util.clock import Clock

N = TypeVar("N", int, float)

PAGE = 500
"""States per read. The engine waits while a page is read."""
REST = 20
"""Counting states takes at most one part in `REST` of the time, however many keys there are."""
SHORTEST_REST = 5.0


class StateTotals:
    """Adds up the states of all (rule, key), for the metrics of the rules."""

    def __init__(self, rules: Mapping[str, CompiledRule]) -> None:
        self.status = RuleStatus(
            paused={name: {"manual": r.paused, "failures": False, "quarantine": False} for name, r in rules.items()}
        )
        self._rules = rules

    def add(self, name: str, key: str, text: str) -> None:
        """Count the state of a rule and a key, as it is stored."""
        state, status = orjson.loads(text), self.status
        if window := state.get("window"):
            events, rows, size = status.pending.get(name, (0, 0, 0))
            status.pending[name] = (events + window["events"], rows + window["rows"], size + window["bytes"])
        for _, next_at, _ in (state.get("cursors") or {}).values():
            _keep(min, status.next_fire, name, next_at)
        _keep(min, status.trained, name, state.get("last_succeeded"))
        _keep(min, status.promoted, name, state.get("last_promoted"))
        _keep(max, status.failures, name, state.get("failures") or None)
        if compiled := self._rules.get(name):
            self._add_of_rule(compiled, key, state)

    def _add_of_rule(self, compiled: CompiledRule, key: str, state: Mapping[str, Any]) -> None:
        """Count what depends on the definition of the rule."""
        name, status = compiled.rule.name, self.status
        trained, promoted = state.get("last_succeeded"), state.get("last_promoted")
        if trained is None and (key or not compiled.per_key):  # the empty key of a rule with keys has no model
            _keep(min, status.untrained, name, state["seen_at"])
        if promoted is None and any(map(needs_promotion, compiled.of_key(key).others.values())):
            _keep(min, status.unpromoted, name, state["seen_at"])
        if compiled.rule.mode != "shadow":
            _keep(max, status.succeeded, name, trained)
            _keep(max, status.fired, name, state.get("last_fired"))
        status.paused[name]["failures"] |= bool(state.get("broken"))
        status.paused[name]["quarantine"] |= bool(state.get("quarantine"))
        if state.get("refused"):
            status.parameters_failed.add(name)
        for trigger_name, raw in (state.get("gauges") or {}).items():
            trigger = compiled.gauges.get(trigger_name)
            if trigger is not None and trigger.reason is Reason.THRESHOLD:
                farthest = worst(trigger.threshold, threshold_from(raw).series.values())
                farther = max if trigger.threshold.high else min
                _keep(farther, status.values.setdefault(name, {}), trigger_name, farthest)


def _keep(choose: Callable[[N, N], N], kept: dict[str, N], name: str, value: N | None) -> None:
    if value is not None:
        kept[name] = choose(value, kept.get(name, value))


class StoreCollector:
    """Called at each scrape. `sources` returns all configured sources, None for those that the web server serves.

    `expected`: the seconds within which each source should receive something, None if it need not. `process` returns
    what is known without the store.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        process: Callable[[], EngineStatus],
        *,
        catalog: Callable[[], Catalog],
        sources: Callable[[], Mapping[str, Source | None]],
        expected: Callable[[], Mapping[str, float | None]],
    ) -> None:
        self._store, self._clock, self._process = store, clock, process
        self._catalog, self._sources, self._expected = catalog, sources, expected
        self._collected = Collected()
        self._counted = ""
        """Revision of the rules that the totals were computed for."""
        self._totals = RuleStatus()
        self._next_count = 0.0
        self._periods: Mapping[str, float] = {}
        self._periods_of: tuple[str, int] = "", 0

    def __call__(self) -> Collected:
        """Return the current values. While the store does not answer, those counted there keep their last value."""
        try:
            self._collected = self._collect()
        except StoreError:
            last, process = self._collected, self._process()
            engine = replace(last.engine, store_writable=False, queued=process.queued, leader=process.leader)
            self._collected = replace(last, engine=engine)
        return self._collected

    def _collect(self) -> Collected:
        active, dead_letters = self._store.read(_count)
        heard = self._store.read(queries.heard)
        now = self._clock.now()
        backed_up_at = self._store.read(last_backup.known_since)
        engine = replace(
            self._process(), dead_letters=dead_letters, store_bytes=self._store.size(), backed_up_at=backed_up_at
        )
        sources = self._source_status(heard, now, leads=engine.leader)
        rules = replace(self._fresh_totals(), active=active, periods=self._fresh_periods(now))
        return Collected(rules, sources, engine)

    def _source_status(self, heard: Mapping[str, Heard], now: float, *, leads: bool) -> SourceStatus:
        sources = self._sources()
        polled = {name: source for name, source in sources.items() if source is not None}
        judged = {name: queries.silent(every, heard.get(name), now) for name, every in self._expected().items()}
        return SourceStatus(
            up={name: source is None or source.last_error is None for name, source in sources.items()},
            lag={  # the sum over all replicas is the lag of the source
                name: source.lag
                for name, source in polled.items()
                if source.lag is not None and (leads or not source.lag_is_shared)
            },
            halted={name: len(source.halted) for name, source in polled.items()},
            last_event={name: h.last_event_at for name, h in heard.items() if h.last_event_at is not None},
            silent={name: is_silent for name, is_silent in judged.items() if is_silent is not None},
            poll_errors={name: source.poll_errors for name, source in polled.items()},
        )

    def _fresh_periods(self, now: float) -> Mapping[str, float]:
        """Return the periods, computed once a day and for each new revision of the rules."""
        catalog = self._catalog()
        if self._periods_of != (wanted := (catalog.revision, int(now // DAY))):
            self._periods, self._periods_of = periods(catalog.rules, now), wanted
        return self._periods

    def _fresh_totals(self) -> RuleStatus:
        """Return the totals, computed again after a pause and for each new revision of the rules."""
        began = self._clock.monotonic()
        catalog = self._catalog()
        if began < self._next_count and catalog.revision == self._counted:
            return self._totals
        totals = StateTotals(catalog.rules)
        totals.status.budget_left = self._store.read(partial(_left, catalog=catalog, now=self._clock.now()))
        last = -1
        page = partial(_states, rules=catalog.rules, now=self._clock.now())
        while rows := self._store.read(partial(page, after=last)):
            for _, rule, key, text in rows:
                totals.add(rule, key, text)
            last = rows[-1][0]
        ended = self._clock.monotonic()
        self._totals, self._counted = totals.status, catalog.revision
        self._next_count = ended + max(SHORTEST_REST, REST * (ended - began))
        return self._totals


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
