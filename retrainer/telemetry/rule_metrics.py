"""Metrics of each rule, and of the budgets that rules draw on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import Histogram

from retrainer.runs.run import LIVE, RunPhase
from retrainer.telemetry.exposition import Families
from retrainer.telemetry.rule_series import balance_of, first_decisions, info_labels, max_ages, thresholds
from retrainer.telemetry.series import Info

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from retrainer.config.models import Rule
    from retrainer.telemetry.exposition import Exposition, PerRule

MINUTE, HOUR = 60, 3600
RUN_BUCKETS = (10, 30, MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 24 * HOUR)
PAUSED_BY = ("manual", "failures", "quarantine")
JUDGED = {True: "true", False: "false", None: "unknown"}

CORE = frozenset(
    f"retrainer_{name}"
    for name in (
        "runs",
        "rule_consecutive_failures",
        "rule_paused",
        "rule_parameters_failed",
        "rule_period_seconds",
        "model_trained_timestamp_seconds",
        "model_untrained_since_timestamp_seconds",
        "model_promoted_timestamp_seconds",
        "model_unpromoted_since_timestamp_seconds",
        "model_max_age_seconds",
    )
)
"""With `retrainer_rule_info`, the metrics that the shipped alerts use; a test compares."""


@dataclass(slots=True)
class RuleStatus:
    """What is known about the rules at a scrape, by name of the rule. Times are epoch seconds (UTC).

    Rules that are not named have no active runs and no pending data.
    """

    active: dict[tuple[str, RunPhase], int] = field(default_factory=dict)
    """Runs by rule and live phase."""
    pending: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """Events, rows and bytes, summed over the rule's keys."""
    next_fire: dict[str, float] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    """By metric trigger, the value farthest on the crossing side, over its series and keys."""
    trained: dict[str, float] = field(default_factory=dict)
    """When the rule's model was last trained; with keys, the oldest of all keys."""
    promoted: dict[str, float] = field(default_factory=dict)
    """When the last promoted model was promoted; with keys, the oldest of all keys."""
    untrained: dict[str, float] = field(default_factory=dict)
    """Since when the rule, or one of its keys, waits for its first success; with several keys, the longest wait."""
    unpromoted: dict[str, float] = field(default_factory=dict)
    """The same for the first promotion, for rules whose freshness counts promoted models."""
    succeeded: dict[str, float] = field(default_factory=dict)
    """When a run of the rule last succeeded, with any key."""
    fired: dict[str, float] = field(default_factory=dict)
    """When a run of the rule was last created, with any key."""
    failures: dict[str, int] = field(default_factory=dict)
    """Failed runs in a row, retries counted once; with several keys, the maximum."""
    paused: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Whether it is paused by `manual`, `failures` or `quarantine` (with keys: any of them)."""
    parameters_failed: set[str] = field(default_factory=set)
    """Rules whose last run was not created, because its parameters could not be computed (with keys: that of any)."""
    periods: Mapping[str, float] = field(default_factory=dict)
    """Seconds within which the rule is meant to run once, for rules that a schedule starts."""
    budget_left: dict[str, dict[str, float]] = field(default_factory=dict)
    """By budget, what remains of `runs` and `gpu_hours`, where it limits them."""


class RuleMetrics:
    """Counted when something happens: decisions and runs. Computed at a scrape: what `RuleStatus` has."""

    def __init__(self, exposition: Exposition) -> None:
        rule = self._rules = Families[RuleStatus](exposition, "rule")
        self._exposition = exposition
        self._decisions = rule.counter("decisions", "Decisions, by kind and reason.", "decision", "reason")
        self.own_outputs = rule.counter("own_outputs", "Events not counted because runs of the rule wrote them.")
        self._runs = rule.counter("runs", "Runs that entered a phase, by phase.", "phase")
        self._success = rule.gauge("last_success_timestamp_seconds", "Time at which a run last succeeded.")
        self._fired = rule.gauge(
            "last_fired_timestamp_seconds", "Time at which a run was last created, retries not counted."
        )
        self._output = rule.gauge("run_output", "Outputs of the last run that returned them.", "output")
        self._resource = rule.counter("run_resource_seconds", "Resource use of ended runs.", "resource")
        self._gpu = rule.counter("run_gpu_seconds", "GPU time of ended runs.", "promoted")
        self._threshold = rule.gauge("metric_threshold", "Threshold of a metric trigger.", "trigger")
        self._max_age = rule.gauge("model_max_age_seconds", "Maximum age of a model by freshness.", "of")
        self._info = exposition.add(
            Info("retrainer_rule_info", "1 for each rule, with its mode and its labels."), "core"
        )
        self._duration = exposition.add(
            Histogram(
                "retrainer_run_duration_seconds",
                "Time from the start of a Workflow to its end, by final phase.",
                ["rule", "phase"],
                buckets=RUN_BUCKETS,
                registry=None,
            ),
            "all",
        )
        self._durations_of: set[tuple[str, str]] = set()
        """Rule and phase of the histograms."""
        self._declare_work()
        self._declare_problems()
        self._declare_models()
        self._budgets = Families[RuleStatus](exposition, "budget")
        self._budgets.labelled_gauge_of("budget_left", "Remaining budget.", "unit", lambda seen: seen.budget_left)

    def _declare_work(self) -> None:
        """Runs, pending data and schedules, as of a scrape."""
        rule, owners = self._rules, self._rules.owners
        live = [phase for phase in RunPhase if phase in LIVE]
        rule.labelled_gauge_of(
            "runs_active",
            "Runs that have not ended, by phase.",
            "phase",
            lambda seen: {r: {p.value: seen.active.get((r, p), 0) for p in live} for r in owners.names},
        )
        rule.gauge_of(
            "pending_events",
            "Events that no run has taken yet.",
            lambda seen: {r: seen.pending.get(r, (0, 0, 0))[0] for r in owners.names},
        )
        rule.gauge_of(
            "pending_rows",
            "Rows that no run has taken yet.",
            lambda seen: {r: seen.pending.get(r, (0, 0, 0))[1] for r in owners.names},
        )
        rule.gauge_of(
            "pending_bytes",
            "Bytes that no run has taken yet.",
            lambda seen: {r: seen.pending.get(r, (0, 0, 0))[2] for r in owners.names},
        )
        rule.gauge_of("next_fire_timestamp_seconds", "Next slot of the rule's schedules.", lambda seen: seen.next_fire)
        rule.gauge_of(
            "rule_period_seconds", "Time within which its schedules start it once.", lambda seen: seen.periods
        )

    def _declare_problems(self) -> None:
        """What keeps a rule from its work, as of a scrape."""
        rule, owners = self._rules, self._rules.owners
        rule.gauge_of(
            "rule_consecutive_failures",
            "Consecutive failures, maximum of all keys.",
            lambda seen: {r: seen.failures.get(r, 0) for r in owners.names},
        )
        rule.labelled_gauge_of(
            "rule_paused",
            "Whether the rule is paused, by cause.",
            "by",
            lambda seen: {r: dict.fromkeys(PAUSED_BY, False) | seen.paused.get(r, {}) for r in owners.names},
        )

        rule.gauge_of(
            "rule_parameters_failed",
            "Whether the last run was not created because of its parameters.",
            lambda seen: {r: r in seen.parameters_failed for r in owners.names},
        )

    def _declare_models(self) -> None:
        """Values and the age of models, as of a scrape."""
        rule = self._rules
        rule.labelled_gauge_of(
            "metric_value", "Most critical value of a trigger, over keys.", "trigger", lambda seen: seen.values
        )
        rule.gauge_of(
            "model_trained_timestamp_seconds", "Time of the oldest model's training.", lambda seen: seen.trained
        )
        rule.gauge_of(
            "model_promoted_timestamp_seconds",
            "Time at which the oldest promoted model was promoted.",
            lambda seen: seen.promoted,
        )
        rule.gauge_of(
            "model_untrained_since_timestamp_seconds",
            "Since when a model waits for its first success.",
            lambda seen: seen.untrained,
        )
        rule.gauge_of(
            "model_unpromoted_since_timestamp_seconds",
            "Since when a model waits for its first promotion.",
            lambda seen: seen.unpromoted,
        )

    def collect(self, seen: RuleStatus) -> None:
        self._rules.collect(seen)
        self._budgets.collect(seen)
        for rule, at in seen.succeeded.items():
            self._success.raise_to(rule, at)
        for rule, at in seen.fired.items():
            self._fired.raise_to(rule, at)

    def configured(self, rules: Sequence[Rule], budgets: Collection[str]) -> None:
        """Export the series of these rules and shared budgets, and remove all others."""
        level = self._exposition.level
        names = self._rules.keep_only(
            (rule.name for rule in rules), lambda name: level == "all" or (level == "core" and name in CORE)
        )
        self._budgets.keep_only({*budgets, *filter(None, map(balance_of, rules))})
        for labels in self._durations_of.copy():  # another thread may add to it
            if labels[0] not in names:
                self._durations_of.remove(labels)
                self._duration.remove(*labels)
        self._threshold.replace({rule.name: thresholds(rule) for rule in rules})
        self._max_age.replace({rule.name: max_ages(rule) for rule in rules})
        self._info.replace([] if level == "none" else [info_labels(rule) for rule in rules])
        for rule in rules:
            self._start_at_zero(rule, level)

    def _start_at_zero(self, rule: Rule, level: PerRule) -> None:
        self._decisions.start_at_zero(rule.name, *first_decisions(rule))
        if any(trigger.data for trigger in rule.triggers.values()):
            self.own_outputs.start_at_zero(rule.name, ())
        phases = RunPhase if level == "all" else (RunPhase.UNKNOWN,)  # the phase that an alert uses
        self._runs.start_at_zero(rule.name, *((phase.value,) for phase in phases))
        self._gpu.start_at_zero(rule.name, *((word,) for word in JUDGED.values()))

    def decided(self, rule: str, decision: str, reason: str, count: int, now: float) -> None:
        self._decisions.add(rule, count, decision, reason)
        if decision == "fire" and reason != "shadow":
            self._fired.raise_to(rule, now)

    def run_entered(self, rule: str, phase: RunPhase) -> None:
        self._runs.add(rule, 1, phase.value)

    def run_ended(self, rule: str, phase: RunPhase, duration: float, now: float, facts: Mapping[str, Any]) -> None:
        """``facts`` is what was stored with the end; its ``outputs`` and ``resources`` are JSON text."""
        if rule not in self._rules.owners:
            return
        if phase is RunPhase.SUCCEEDED:
            self._success.raise_to(rule, now)
        if self._exposition.level == "all":
            self._duration.labels(rule, phase.value).observe(max(duration, 0.0))
            self._durations_of.add((rule, phase.value))
        for name, value in orjson.loads(facts.get("outputs") or "{}").items():
            if isinstance(value, bool | int | float):
                self._output.set(rule, float(value), name)
        for name, seconds in orjson.loads(facts.get("resources") or "{}").items():
            self._resource.add(rule, float(seconds), name)

    def run_cost(self, rule: str, gpu_hours: float, *, promoted: bool | None) -> None:
        """An attempt ended and used `gpu_hours`; ``promoted`` is what it reported about its model, if anything."""
        self._gpu.add(rule, gpu_hours * HOUR, JUDGED[promoted])
