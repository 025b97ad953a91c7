"""Metrics of the daemon for Prometheus. docs/reference/metrics.md describes each metric."""

from __future__ import annotations

import math
import platform
import re
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import orjson
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.registry import Collector

from retrainer.runs.run import LIVE, RunPhase
from retrainer.telemetry.series import EventCounts, Info, Owned, Owners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.config.models import Rule
    from retrainer.util.supervision import Seen

MINUTE, HOUR = 60, 3600
RUN_BUCKETS = (10, 30, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 24 * HOUR)
PATH_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, MINUTE, 5 * MINUTE, HOUR)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Decisions that alerts and rates use are exported as 0 from the start. Others appear when they first occur.
FIRED_BY = {
    "schedule": ("schedule", "backfill"),
    "data": ("batch_complete",),
    "metric": ("threshold",),
    "alert": ("alert",),
    "freshness": ("stale",),
    "after": ("upstream",),
}
"""Reasons to fire, by kind of trigger."""
ALWAYS_FIRED_BY = ("manual", "retry")
SKIPPED_BY = ("overlap", "deadline", "missed", "bad_parameters")
SUBMIT_CODES = ("timeout", "connect", "quota", "denied", "invalid", "403", "409", "429", "500", "503")
MOST_CODES = 50
OUR_LABELS = ("rule", "mode")
PAUSED_BY = ("manual", "failures", "quarantine")
JUDGED = {True: "true", False: "false", None: "unknown"}


PerRule = Literal["all", "core", "none"]
MANY = 1000
"""With more rules than this, `core` is exported for each rule by default."""
CORE = frozenset(
    f"retrainer_{name}"
    for name in (
        "runs",
        "rule_consecutive_failures",
        "rule_paused",
        "rule_period_seconds",
        "model_trained_timestamp_seconds",
        "model_untrained_since_timestamp_seconds",
        "model_promoted_timestamp_seconds",
        "model_unpromoted_since_timestamp_seconds",
        "model_max_age_seconds",
    )
)
"""With `retrainer_rule_info`, the metrics that the shipped alerts use; a test compares."""
C = TypeVar("C", bound=Collector)


class Configured(Protocol):
    """The part of the active configuration that determines series."""

    @property
    def rules(self) -> Sequence[Rule]: ...

    @property
    def sources(self) -> Mapping[str, Any]: ...

    @property
    def budgets(self) -> Mapping[str, Any]: ...


class Waiting(Protocol):
    """A component that waits for a dependency, since ``since`` (epoch seconds)."""

    @property
    def component(self) -> str: ...
    @property
    def dependency(self) -> str: ...
    @property
    def since(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """The state at the time of a scrape, read from the store and the components, so it is correct after a restart too.

    Rules that are not named have no active runs and no pending data. Times are epoch seconds (UTC).
    """

    active: Mapping[tuple[str, RunPhase], int] = field(default_factory=dict)
    """Runs by rule and live phase."""
    pending: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    """Events, rows and bytes by rule, summed over its keys."""
    next_fire: Mapping[str, float] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By rule and metric trigger, the value farthest on the crossing side, over its series and keys."""
    trained: Mapping[str, float] = field(default_factory=dict)
    """When the rule's model was last trained; with keys, the oldest of all keys."""
    promoted: Mapping[str, float] = field(default_factory=dict)
    """When the last promoted model was promoted; with keys, the oldest of all keys."""
    untrained: Mapping[str, float] = field(default_factory=dict)
    """Since when the rule, or one of its keys, waits for its first success; with several keys, the longest wait."""
    unpromoted: Mapping[str, float] = field(default_factory=dict)
    """The same for the first promotion, for rules whose freshness counts promoted models."""
    succeeded: Mapping[str, float] = field(default_factory=dict)
    """When a run of the rule last succeeded, with any key."""
    fired: Mapping[str, float] = field(default_factory=dict)
    """When a run of the rule was last created, with any key."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Failed runs in a row, retries counted once; with several keys, the maximum."""
    paused: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    """By rule, whether it is paused by `manual`, `failures` or `quarantine` (with keys: any of them)."""
    periods: Mapping[str, float] = field(default_factory=dict)
    """Seconds within which the rule is meant to run once, for rules that a schedule starts."""
    budget_left: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By budget, what remains of `runs` and `gpu_hours`, where it limits them."""
    sources: Mapping[str, bool] = field(default_factory=dict)
    """Whether each source works."""
    lag: Mapping[str, int] = field(default_factory=dict)
    """Records that have not been read yet, for sources that can tell."""
    halted: Mapping[str, int] = field(default_factory=dict)
    """Partitions that are not read until an operator decides how to continue, for sources with partitions."""
    last_event: Mapping[str, float] = field(default_factory=dict)
    """When each source last reported something."""
    silent: Mapping[str, bool] = field(default_factory=dict)
    """For each source with `max_silence`, whether it has been silent for longer."""
    poll_errors: Mapping[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    store_bytes: int = 0
    store_free_bytes: int | None = None
    """Free bytes on the volume of the store, if it is on a local volume."""
    store_writable: bool = True
    leader: bool = True
    """Whether this process is the leader."""
    queued: int = 0
    """Events that wait for the engine."""
    watch_restarts: int = 0
    """Restarts of watches since the process started."""


class Metrics:
    """All metrics of the daemon, in the given registry. Thread-safe; cheap to call.

    No label contains a run id, a key, the name of an object or free text.
    """

    def __init__(self, registry: CollectorRegistry, per_rule: PerRule | None = None) -> None:
        """``per_rule``: what is exported for each rule. Default: `all`; with more than `MANY` rules, `core`."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the series, for creation times
        self.standing: Callable[[], Standing] | None = None
        """Called at each scrape, on the thread that serves it."""
        self.threads: Callable[[], Sequence[Seen]] = tuple
        """Returns the state of the threads; called in the same way."""
        self.waits: Callable[[], Sequence[Waiting]] = tuple
        """Returns the components that wait; called in the same way."""
        self._registry = registry
        self._per_rule = per_rule
        self._rest = CollectorRegistry()
        """Metrics that are neither `Owned` nor per rule: prometheus_client renders them."""
        self._of_rules_rest = CollectorRegistry()
        self._info_rest = CollectorRegistry()
        self._owned: list[Owned] = []
        self._level: PerRule = per_rule or "all"
        self._rendering = Lock()
        self._rendered_at, self._rendered = 0.0, b""
        self._rules, self._sources, self._budgets = Owners(), Owners(), Owners()
        self._of_rules: list[Owned] = []
        self._of_sources: list[Owned] = []
        self._run_duration_children: dict[tuple[str, str], Histogram] = {}
        self._codes: set[str] = set(SUBMIT_CODES)
        self._events = EventCounts(self._sources)
        self._rule_info = Info("retrainer_rule_info", "1 for each rule, with its mode and its labels.")
        self._register(self._events)
        self._register(self._rule_info, self._info_rest)
        self._make_rules()
        self._make_levels()
        self._make_sources()
        self._make_engine()
        self._make_daemon()

    # -- the metrics -----------------------------------------------------------------------------------------------

    def _make_rules(self) -> None:
        self._decisions = self._rule("counter", "decisions", "Decisions, by kind and reason.", "decision", "reason")
        self._own = self._rule("counter", "own_outputs", "Events not counted because runs of the rule wrote them.")
        self._runs = self._rule("counter", "runs", "Runs that entered a phase, by phase.", "phase")
        self._active = self._rule("gauge", "runs_active", "Runs that have not ended, by phase.", "phase")
        self._success = self._rule("gauge", "last_success_timestamp_seconds", "Time at which a run last succeeded.")
        self._fired = self._rule("gauge", "last_fired_timestamp_seconds", "Time at which a run was last created.")
        self._next = self._rule("gauge", "next_fire_timestamp_seconds", "Next slot of the rule's schedules.")
        self._period = self._rule("gauge", "rule_period_seconds", "Time within which its schedules start it once.")
        self._failures = self._rule("gauge", "rule_consecutive_failures", "Consecutive failures, maximum of all keys.")
        self._paused = self._rule("gauge", "rule_paused", "Whether the rule is paused, by cause.", "by")
        self._pending = {
            what: self._rule("gauge", f"pending_{what}", f"{what.title()} that no run has taken yet.")
            for what in ("events", "rows", "bytes")
        }
        self._output = self._rule("gauge", "run_output", "Outputs of the last run that returned them.", "output")
        self._resource = self._rule("counter", "run_resource_seconds", "Resource use of ended runs.", "resource")
        self._run_duration = Histogram(
            "retrainer_run_duration_seconds",
            "Time from the start of a Workflow to its end, by final phase.",
            ["rule", "phase"],
            buckets=RUN_BUCKETS,
            registry=None,
        )
        self._register(self._run_duration, self._of_rules_rest)

    def _make_levels(self) -> None:
        """Metrics of values, models and costs, per rule."""
        self._value = self._rule("gauge", "metric_value", "Most critical value of a trigger, over keys.", "trigger")
        self._threshold = self._rule("gauge", "metric_threshold", "Threshold of a metric trigger.", "trigger")
        self._trained = self._rule("gauge", "model_trained_timestamp_seconds", "Time of the oldest model's training.")
        self._promoted = self._rule(
            "gauge", "model_promoted_timestamp_seconds", "Time at which the oldest promoted model was promoted."
        )
        self._untrained = self._rule(
            "gauge", "model_untrained_since_timestamp_seconds", "Since when a model waits for its first success."
        )
        self._unpromoted = self._rule(
            "gauge",
            "model_unpromoted_since_timestamp_seconds",
            "Since when a model waits for its first promotion.",
        )
        self._max_age = self._rule("gauge", "model_max_age_seconds", "Maximum age of a model by freshness.", "of")
        self._gpu = self._rule("counter", "run_gpu_seconds", "GPU time of ended runs.", "promoted")
        self._left = Owned("gauge", "retrainer_budget_left", "Remaining budget.", ("budget", "unit"), self._budgets)
        self._register(self._left)

    def _make_sources(self) -> None:
        self._up = self._source("gauge", "source_up", "Whether the source works.")
        self._last_event = self._source(
            "gauge", "source_last_event_timestamp_seconds", "Time at which the last event of the source arrived."
        )
        self._lag = self._source("gauge", "source_lag", "Records that wait to be read.")
        self._halted = self._source("gauge", "source_halted_partitions", "Partitions that wait for an operator.")
        self._silent = self._source("gauge", "source_silent", "Whether no event arrived within max_silence.")
        self._poll_errors = self._source("counter", "source_poll_errors", "Failed polls of the source.")

    def _make_engine(self) -> None:
        self._queue_wait = self._histogram("queue_wait_seconds", "How long events waited for the engine.", PATH_BUCKETS)
        self._submit_lag = self._histogram(
            "run_submit_latency_seconds",
            "Time from a run's creation to its Workflow's creation.",
            PATH_BUCKETS,
        )
        self._schedule_lag = self._histogram(
            "schedule_lag_seconds", "Time from a slot to its run's creation.", PATH_BUCKETS
        )
        self._commit = self._histogram(
            "engine_transaction_duration_seconds", "Duration of the engine's transactions.", COMMIT_BUCKETS
        )
        self._inputs_left_out = self._counter(
            "inputs_left_out", "Inputs that could not be processed, even for a quarantined key.", "input"
        )
        self._queue = self._gauge("engine_queue_length", "Events that wait for the engine.")
        self._store_size = self._gauge("store_size_bytes", "Size of the store in bytes.")
        self._store_free = self._gauge("store_free_bytes", "Free space on the store's volume; NaN if unknown.")
        self._store_writable = self._gauge("store_writable", "Whether the last write to the store succeeded.")
        self._dead_letters = self._gauge("dead_letters", "Stored dead letters.")
        self._clock_offset = self._gauge("clock_offset_seconds", "Lead of the machine's clock over the daemon's.")
        self._clock_steps = self._counter("clock_steps", "Steps of the machine's clock, and suspensions.")
        self._letters_dropped = self._counter("dead_letters_dropped", "Dead letters dropped because of the limits.")
        self._attempts = self._counter("submit_attempts", "Requests to create a Workflow.")
        self._errors = self._counter("submit_errors", "Requests to create a Workflow that failed, by code.", "code")
        self._restarts = self._counter("watch_restarts", "Restarts of Workflow watches because of an error.")
        self._restarts_seen = 0
        for code in SUBMIT_CODES:
            self._errors.labels(code)

    def _make_daemon(self) -> None:
        self._dead_letters_left_out = self._counter(
            "dead_letters_left_out", "Unreadable items covered by another dead letter.", "source"
        )
        self._refused = self._counter("http_refused", "Rejected HTTP requests.", "door", "status")
        self._beats = self._by_thread("gauge", "thread_heartbeat_age_seconds", "Time since the last heartbeat.")
        self._stuck = self._by_thread("gauge", "thread_stuck", "Whether the thread hangs, other than in a wait.")
        self._thread_restarts = self._by_thread("counter", "thread_restarts", "Restarts of a thread that failed.")
        self._waiting = self._register(
            Owned(
                "gauge",
                "retrainer_waiting_since_timestamp_seconds",
                "Since when a component waits for a dependency.",
                ("component", "dependency"),
                Owners(),
            )
        )
        self._leader = self._gauge("leader", "Whether this process is the leader.")
        self._reload_ok = self._gauge("config_last_reload_successful", "Whether all files were valid when last read.")
        self._reload_at = self._gauge("config_last_reload_success_timestamp_seconds", "When all files were last valid.")
        self._problems = self._gauge("config_file_problems", "Mistakes in the current files.")
        build = Info("retrainer_build_info", "1, with the versions of retrainer and Python.")
        build.replace([{"version": version("retrainer"), "python": platform.python_version()}])
        self._register(build)
        self._register(ProcessCollector(registry=None))
        self._dropped = self._counter("metrics_series_dropped", "Changes of series beyond 100 of one name per rule.")
        self._dropped_seen = 0

    def _register(self, made: C, rest: CollectorRegistry | None = None) -> C:
        """Export the collector. ``rest`` renders it if it is not `Owned`."""
        self._registry.register(made)
        if isinstance(made, Owned):
            self._owned.append(made)
        else:
            (rest or self._rest).register(made)
        return made

    def _rule(self, kind: Literal["counter", "gauge"], name: str, text: str, *labels: str) -> Owned:
        made = Owned(kind, f"retrainer_{name}", text, ("rule", *labels), self._rules)
        self._of_rules.append(made)
        self._register(made)
        return made

    def _source(self, kind: Literal["counter", "gauge"], name: str, text: str) -> Owned:
        made = Owned(kind, f"retrainer_{name}", text, ("source",), self._sources)
        self._of_sources.append(made)
        self._register(made)
        return made

    def _by_thread(self, kind: Literal["counter", "gauge"], name: str, text: str) -> Owned:
        made = Owned(kind, f"retrainer_{name}", text, ("thread",), Owners())
        self._register(made)
        return made

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return self._register(Histogram(f"retrainer_{name}", text, buckets=buckets, registry=None))

    def _gauge(self, name: str, text: str) -> Gauge:
        return self._register(Gauge(f"retrainer_{name}", text, registry=None))

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return self._register(Counter(f"retrainer_{name}", text, labels, registry=None))

    # -- updates ---------------------------------------------------------------------------------------------------

    def configured(self, configuration: Configured, *, problems: int, now: float) -> None:
        """Export the series of these rules, sources and budgets, and remove all others."""
        rules = self._rules.replace(rule.name for rule in configuration.rules)
        self._level = self._per_rule or ("core" if len(rules) > MANY else "all")
        for owned in self._of_rules:
            owned.export(self._level == "all" or (self._level == "core" and owned.name in CORE))
        sources = self._sources.replace(configuration.sources)
        budgets = self._budgets.replace({*configuration.budgets, *filter(None, map(balance_of, configuration.rules))})
        self._forget(rules, sources)
        self._left.keep_only(budgets)
        self._threshold.replace({rule.name: thresholds(rule) for rule in configuration.rules})
        self._max_age.replace({rule.name: max_ages(rule) for rule in configuration.rules})
        self._rule_info.replace([] if self._level == "none" else [info_labels(rule) for rule in configuration.rules])
        for asked in configuration.rules:
            self._decisions.start_at_zero(asked.name, *first_decisions(asked))
            if any(trigger.data for trigger in asked.triggers.values()):
                self._own.start_at_zero(asked.name, ())
        for rule in rules:
            phases = RunPhase if self._level == "all" else (RunPhase.UNKNOWN,)  # the phase that an alert uses
            self._runs.start_at_zero(rule, *((phase.value,) for phase in phases))
            self._gpu.start_at_zero(rule, *((word,) for word in JUDGED.values()))
        for source in sources:
            self._events.start_at_zero(source)
            self._poll_errors.start_at_zero(source, ())
        self._problems.set(problems)
        self._reload_ok.set(problems == 0)
        if not problems:
            self._reload_at.set(now)

    def _forget(self, rules: frozenset[str], sources: frozenset[str]) -> None:
        for owned in self._of_rules:
            owned.keep_only(rules)
        for owned in self._of_sources:
            owned.keep_only(sources)
        self._events.keep_only(sources)
        for labels in [labels for labels in list(self._run_duration_children) if labels[0] not in rules]:
            del self._run_duration_children[labels]
            self._run_duration.remove(*labels)

    def event_outcome(self, source: str, outcome: str, count: int, now: float) -> None:
        """Count events of a source by outcome, one of OUTCOMES. Raise KeyError for another outcome."""
        self._events.add(source, outcome, count)
        self._last_event.raise_to(source, now)

    def clock(self, ahead: float, stepped: bool) -> None:
        """``ahead``: seconds by which the machine's clock is ahead."""
        self._clock_offset.set(ahead)
        self._clock_steps.inc(stepped)

    def dead_letters_dropped(self, count: int) -> None:
        self._letters_dropped.inc(count)

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        """A transaction took `seconds`; its events had `waited` so long, and `queued` events still wait."""
        self._commit.observe(seconds)
        for wait in waited:
            self._queue_wait.observe(wait)
        self._queue.set(queued)

    def decided(self, rule: str, decision: str, reason: str, count: int, now: float) -> None:
        self._decisions.add(rule, count, decision, reason)
        if decision == "fire" and reason != "shadow":
            self._fired.raise_to(rule, now)

    def input_left_out(self, kind: str) -> None:
        self._inputs_left_out.labels(kind).inc()

    def own_output(self, rule: str) -> None:
        self._own.add(rule, 1)

    def run_entered(self, rule: str, phase: RunPhase) -> None:
        self._runs.add(rule, 1, phase.value)

    def run_ended(self, rule: str, phase: RunPhase, duration: float, now: float, facts: Mapping[str, Any]) -> None:
        """``facts`` is what was stored with the end; its ``outputs`` and ``resources`` are JSON text."""
        if rule not in self._rules:
            return
        if phase is RunPhase.SUCCEEDED:
            self._success.raise_to(rule, now)
        if self._level == "all":
            self._duration(rule, phase.value).observe(max(duration, 0.0))
        for name, value in orjson.loads(facts.get("outputs") or "{}").items():
            if isinstance(value, bool | int | float):
                self._output.set(rule, float(value), name)
        for name, seconds in orjson.loads(facts.get("resources") or "{}").items():
            self._resource.add(rule, float(seconds), name)

    def run_cost(self, rule: str, gpu_hours: float, *, promoted: bool | None) -> None:
        """An attempt ended and used `gpu_hours`; ``promoted`` is what it reported about its model, if anything."""
        self._gpu.add(rule, gpu_hours * HOUR, JUDGED[promoted])

    def _duration(self, rule: str, phase: str) -> Histogram:
        child = self._run_duration_children.get((rule, phase))
        if child is None:
            child = self._run_duration_children[rule, phase] = self._run_duration.labels(rule, phase)
        return child

    def submitted_after(self, seconds: float) -> None:
        self._submit_lag.observe(max(seconds, 0.0))

    def schedule_lag(self, seconds: float) -> None:
        self._schedule_lag.observe(max(seconds, 0.0))

    def submit_attempt(self, code: str) -> None:
        """Count a request to create a Workflow by its result: ``ok``, an HTTP status or a short word."""
        self._attempts.inc()
        if code == "ok":
            return
        if code not in self._codes and len(self._codes) >= MOST_CODES:
            code = "other"
        self._codes.add(code)
        self._errors.labels(code).inc()

    def refused(self, door: str, status: int) -> None:
        """Count a rejected request. ``door`` is a source, `api`, or `hooks` for a path without a source."""
        self._refused.labels(door, str(status)).inc()

    def dead_letters_left_out(self, source: str, count: int) -> None:
        """Count unreadable items for which an earlier dead letter exists."""
        self._dead_letters_left_out.labels(source).inc(count)

    # -- the scrape ------------------------------------------------------------------------------------------------

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        asked = time.monotonic()
        with self._rendering:
            if self._rendered_at < asked:  # else another call started rendering after this one: its result is as good
                self._rendered_at = time.monotonic()
                self._rendered = self._render()
            return self._rendered

    def _render(self) -> bytes:
        if self.standing is not None:
            self._stand(self.standing())
        self._look_at_threads(self.threads())
        self._look_at_waits(self.waits())
        dropped = sum(owned.dropped for owned in self._owned)
        self._dropped.inc(dropped - self._dropped_seen)
        self._dropped_seen = dropped
        parts = [generate_latest(self._rest)]
        if self._level != "none":
            parts.append(generate_latest(self._info_rest))
        if self._level == "all":
            parts.append(generate_latest(self._of_rules_rest))
        parts += [owned.text().encode() for owned in self._owned if owned.exported]
        return b"".join(parts)

    def _look_at_threads(self, seen: Sequence[Seen]) -> None:
        self._beats.replace({one.name: {(): one.silence} for one in seen})
        self._stuck.replace({one.name: {(): one.stuck} for one in seen})
        self._thread_restarts.replace({one.name: {(): one.restarts} for one in seen})

    def _look_at_waits(self, waits: Sequence[Waiting]) -> None:
        since: dict[str, dict[tuple[str, ...], float]] = {}
        for wait in waits:
            since.setdefault(wait.component, {})[wait.dependency,] = wait.since
        self._waiting.replace(since)

    def _stand(self, seen: Standing) -> None:
        rules = self._rules.names
        live = [phase for phase in RunPhase if phase in LIVE]
        self._active.replace({r: {(p.value,): seen.active.get((r, p), 0) for p in live} for r in rules})
        for place, what in enumerate(("events", "rows", "bytes")):
            self._pending[what].replace({r: {(): seen.pending.get(r, (0, 0, 0))[place]} for r in rules})
        self._value.replace({r: {(t,): value for t, value in of.items()} for r, of in seen.values.items()})
        self._failures.replace({r: {(): seen.failures.get(r, 0)} for r in rules})
        self._paused.replace({r: {(by,): seen.paused.get(r, {}).get(by, False) for by in PAUSED_BY} for r in rules})
        for gauge, moments in (
            (self._next, seen.next_fire),
            (self._period, seen.periods),
            (self._trained, seen.trained),
            (self._promoted, seen.promoted),
            (self._untrained, seen.untrained),
            (self._unpromoted, seen.unpromoted),
        ):
            gauge.replace({rule: {(): seconds} for rule, seconds in moments.items()})
        for newest, of_rules in ((self._success, seen.succeeded), (self._fired, seen.fired)):
            for rule, moment in of_rules.items():
                newest.raise_to(rule, moment)
        self._left.replace({b: {(unit,): left for unit, left in of.items()} for b, of in seen.budget_left.items()})
        self._up.replace({source: {(): up} for source, up in seen.sources.items()})
        for gauge, values in ((self._lag, seen.lag), (self._halted, seen.halted), (self._silent, seen.silent)):
            gauge.replace({source: {(): value} for source, value in values.items()})
        for source, moment in seen.last_event.items():
            self._last_event.raise_to(source, moment)
        for source, errors in seen.poll_errors.items():
            self._poll_errors.set(source, errors)
        self._dead_letters.set(seen.dead_letters)
        self._store_size.set(seen.store_bytes)
        self._store_free.set(math.nan if seen.store_free_bytes is None else seen.store_free_bytes)
        self._store_writable.set(seen.store_writable)
        self._leader.set(seen.leader)
        self._queue.set(seen.queued)
        self._restarts.inc(max(0, seen.watch_restarts - self._restarts_seen))
        self._restarts_seen = max(seen.watch_restarts, self._restarts_seen)


def first_decisions(rule: Rule) -> set[tuple[str, str]]:
    """Kind and reason of the decisions that are exported before they first occur."""
    kinds = {kind for trigger in rule.triggers.values() for kind in trigger.model_fields_set}
    fired = {reason for kind in kinds & FIRED_BY.keys() for reason in FIRED_BY[kind]}
    return {*(("fire", reason) for reason in {*fired, *ALWAYS_FIRED_BY}), *(("skip", reason) for reason in SKIPPED_BY)}


def thresholds(rule: Rule) -> dict[tuple[str, ...], float]:
    """Thresholds of a rule's metric triggers, by the labels of their series."""
    bounds: dict[tuple[str, ...], float | None] = {
        (name,): asked.above if asked.above is not None else asked.below
        for name, trigger in rule.triggers.items()
        if (asked := trigger.metric) is not None
    }
    return {labels: bound for labels, bound in bounds.items() if bound is not None}


def max_ages(rule: Rule) -> dict[tuple[str, ...], float]:
    """Maximum model age of a rule's freshness triggers in seconds, by what counts; the strictest of each."""
    found: dict[tuple[str, ...], float] = {}
    for trigger in rule.triggers.values():
        if (asked := trigger.freshness) is not None:
            found[asked.of,] = min(asked.max_age, found.get((asked.of,), asked.max_age))
    return found


def balance_of(rule: Rule) -> str | None:
    """Name of the rule's own budget; None if it has none, or shares one."""
    return None if rule.limits.budget is None or isinstance(rule.limits.budget, str) else f"rule/{rule.name}"


def info_labels(rule: Rule) -> dict[str, str]:
    """The rule's labels under names that Prometheus accepts; ``rule`` and ``mode`` are set by retrainer."""
    labels = {_label(name): str(value) for name, value in sorted(rule.labels.items())}
    return {**labels, "rule": rule.name, "mode": rule.mode}


def _label(name: str) -> str:
    mended = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    return f"label_{mended}" if mended in OUR_LABELS or not re.match(r"[a-zA-Z]", mended) else mended
