from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from retrainer.config.models import Rule
from retrainer.runs.run import RunPhase
from retrainer.telemetry.engine_metrics import MOST_CODES, EngineStatus
from retrainer.telemetry.metrics import Collected, Metrics
from retrainer.telemetry.rule_metrics import RuleStatus
from retrainer.telemetry.series import OUTCOMES
from retrainer.telemetry.source_metrics import SourceStatus


@dataclass
class Configuration:
    rules: list[Rule] = field(default_factory=list)
    sources: dict[str, Any] = field(default_factory=dict)
    budgets: dict[str, Any] = field(default_factory=dict)


def rule(name: str = "churn", **fields: Any) -> Rule:
    triggers = {"nightly": {"schedule": {"cron": "@daily"}}}
    return Rule.model_validate({"name": name, "triggers": triggers, "submit": {"workflow_template": "t"}, **fields})


class Scrape:
    """A scrape: the text, parsed by prometheus_client's parser."""

    def __init__(self, metrics: Metrics) -> None:
        self.families = {f.name: f for f in text_string_to_metric_families(metrics.exposition().decode())}

    def value(self, name: str, **labels: str) -> float | None:
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == f"retrainer_{name}" and sample.labels == labels:
                    return sample.value
        return None

    def owners(self) -> set[str]:
        samples = [s for f in self.families.values() for s in f.samples]
        return {s.labels[word] for s in samples for word in ("rule", "source", "budget") if word in s.labels}


@pytest.fixture
def metrics() -> Metrics:
    made = Metrics(CollectorRegistry())
    made.configured(Configuration([rule()], {"lake": None}), problems=0, now=100.0)
    return made


def test_a_series_stands_at_zero_before_anything_happened(metrics: Metrics) -> None:
    scrape = Scrape(metrics)
    assert [scrape.value(f"events_{word}_total", source="lake") for word in ("received", *OUTCOMES)] == [0] * 6
    assert {scrape.value("runs_total", rule="churn", phase=phase.value) for phase in RunPhase} == {0}
    assert scrape.value("run_gpu_seconds_total", rule="churn", promoted="true") == 0
    assert scrape.value("decisions_total", rule="churn", decision="fire", reason="schedule") == 0
    assert scrape.value("submit_attempts_total") == 0
    assert scrape.value("submit_errors_total", code="503") == 0


@pytest.mark.parametrize(
    ("trigger", "reasons"),
    [
        pytest.param({"schedule": {"cron": "@daily"}}, {"schedule", "backfill"}, id="schedule"),
        pytest.param({"data": {"source": "s", "batch": {"at_least": {"events": 1}}}}, {"batch_complete"}, id="data"),
        pytest.param({"metric": {"source": "s", "above": 0.2}}, {"threshold"}, id="metric"),
        pytest.param({"alert": {"source": "s"}}, {"alert"}, id="alert"),
        pytest.param({"freshness": {"max_age": "7d"}}, {"stale"}, id="freshness"),
        pytest.param({"after": {"rule": "features"}}, {"upstream"}, id="after"),
    ],
)
def test_why_a_rule_may_fire_stands_at_zero_by_its_triggers(trigger: dict[str, Any], reasons: set[str]) -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.configured(Configuration([rule(triggers={"t": trigger})]), problems=0, now=1.0)
    samples = Scrape(metrics).families["retrainer_decisions"].samples
    assert {s.labels["reason"] for s in samples if s.labels["decision"] == "fire"} == {*reasons, "manual", "retry"}
    assert {s.value for s in samples} == {0}
    assert Scrape(metrics).value("own_outputs_total", rule="churn") == (0 if "data" in trigger else None)


def test_outcomes_add_up_to_what_was_received(metrics: Metrics) -> None:
    for number, word in enumerate(OUTCOMES, start=1):
        metrics.sources.event_outcome("lake", word, number, 100.0 + number)
    scrape = Scrape(metrics)
    counts = [scrape.value(f"events_{word}_total", source="lake") for word in OUTCOMES]
    assert counts == [1, 2, 3, 4, 5]
    assert scrape.value("events_received_total", source="lake") == 15
    assert scrape.value("source_last_event_timestamp_seconds", source="lake") == 105


def test_an_outcome_that_is_none_is_a_bug_and_says_so(metrics: Metrics) -> None:
    with pytest.raises(KeyError):
        metrics.sources.event_outcome("lake", "lost", 1, 0.0)


@pytest.mark.parametrize(
    ("decision", "reason", "fired"),
    [
        pytest.param("fire", "schedule", 7.0, id="a run was born"),
        pytest.param("fire", "shadow", None, id="shadow bears none"),
        pytest.param("hold", "cooldown", None, id="held"),
        pytest.param("skip", "overlap", None, id="skipped"),
    ],
)
def test_decisions_count_by_reason(metrics: Metrics, decision: str, reason: str, fired: float | None) -> None:
    metrics.rules.decided("churn", decision, reason, 1, 7.0)
    scrape = Scrape(metrics)
    assert scrape.value("decisions_total", rule="churn", decision=decision, reason=reason) == 1
    assert scrape.value("last_fired_timestamp_seconds", rule="churn") == fired


def test_a_run_from_birth_to_success(metrics: Metrics) -> None:
    for phase in (RunPhase.PENDING, RunPhase.SUBMITTED, RunPhase.RUNNING, RunPhase.SUCCEEDED):
        metrics.rules.run_entered("churn", phase)
    facts = {
        "outputs": '{"auc": 0.91, "promoted": true, "note": "fine"}',
        "resources": '{"cpu": 12, "nvidia.com/gpu": 3}',
    }
    metrics.rules.run_ended("churn", RunPhase.SUCCEEDED, 42.0, 1000.0, facts)
    scrape = Scrape(metrics)
    assert scrape.value("runs_total", rule="churn", phase="SUCCEEDED") == 1
    assert scrape.value("last_success_timestamp_seconds", rule="churn") == 1000
    assert scrape.value("run_duration_seconds_sum", rule="churn", phase="SUCCEEDED") == 42
    assert scrape.value("run_output", rule="churn", output="auc") == 0.91
    assert scrape.value("run_output", rule="churn", output="promoted") == 1
    assert scrape.value("run_output", rule="churn", output="note") is None, "text is no gauge"
    assert scrape.value("run_resource_seconds_total", rule="churn", resource="nvidia.com/gpu") == 3


def test_a_failed_run_is_no_success(metrics: Metrics) -> None:
    metrics.rules.run_ended("churn", RunPhase.FAILED, 5.0, 1000.0, {})
    scrape = Scrape(metrics)
    assert scrape.value("last_success_timestamp_seconds", rule="churn") is None
    assert scrape.value("run_duration_seconds_count", rule="churn", phase="FAILED") == 1


def test_a_success_reported_late_does_not_move_the_moment_back(metrics: Metrics) -> None:
    for now in (2000.0, 1000.0):
        metrics.rules.run_ended("churn", RunPhase.SUCCEEDED, 1.0, now, {})
    assert Scrape(metrics).value("last_success_timestamp_seconds", rule="churn") == 2000


def use_everything(metrics: Metrics, rule_name: str, source: str) -> None:
    metrics.sources.event_outcome(source, "matched", 1, 5.0)
    metrics.rules.decided(rule_name, "hold", "cooldown", 1, 5.0)
    metrics.rules.run_entered(rule_name, RunPhase.FAILED)
    metrics.rules.run_ended(rule_name, RunPhase.SUCCEEDED, 1.0, 5.0, {"outputs": '{"a": 1}', "resources": '{"cpu": 1}'})
    pending = {rule_name: (1.0, 2.0, 3.0)}
    active = {(rule_name, RunPhase.RUNNING): 1}
    metrics.rules.run_cost(rule_name, 1.5, promoted=True)
    status = RuleStatus(
        active,
        pending,
        next_fire={rule_name: 9.0},
        values={rule_name: {"drift": 0.3}},
        trained={rule_name: 5.0},
        promoted={rule_name: 4.0},
        untrained={rule_name: 3.0},
        unpromoted={rule_name: 3.0},
        succeeded={rule_name: 6.0},
        fired={rule_name: 6.0},
        failures={rule_name: 1},
        paused={rule_name: {"manual": True}},
        periods={rule_name: 86400.0},
        budget_left={"growth": {"runs": 2.0}, f"rule/{rule_name}": {"gpu_hours": 1.0}},
    )
    metrics.collector = lambda: Collected(status, SourceStatus(up={source: True}, lag={source: 1}))
    metrics.exposition()


OWN_BUDGET = {"budget": {"gpu_hours": 8, "per": "1d"}}
DRIFT = {"drift": {"metric": {"source": "lake", "above": 0.2}}, "old": {"freshness": {"max_age": "7d"}}}


def test_all_series_of_a_rule_a_source_and_a_budget_go_with_them(metrics: Metrics) -> None:
    spends = rule(limits=OWN_BUDGET, triggers=DRIFT)
    metrics.configured(Configuration([spends], {"lake": None}, {"growth": None}), problems=0, now=1.0)
    use_everything(metrics, "churn", "lake")
    assert Scrape(metrics).owners() == {"churn", "lake", "growth", "rule/churn"}
    metrics.configured(Configuration([rule("basket")], {"push": None}), problems=0, now=1.0)
    assert Scrape(metrics).owners() == {"basket", "push"}


def test_what_ends_after_its_rule_went_brings_nothing_back(metrics: Metrics) -> None:
    metrics.configured(Configuration(), problems=0, now=1.0)
    use_everything(metrics, "churn", "lake")
    assert Scrape(metrics).owners() == set()


def test_what_happens_before_the_first_configuration_counts() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.sources.event_outcome("lake", "matched", 3, 5.0)
    metrics.configured(Configuration([], {"lake": None}), problems=0, now=6.0)
    assert Scrape(metrics).value("events_received_total", source="lake") == 3


def test_a_reload_keeps_the_counts_of_what_stays(metrics: Metrics) -> None:
    metrics.rules.run_entered("churn", RunPhase.FAILED)
    metrics.configured(Configuration([rule(), rule("basket")], {"lake": None}), problems=0, now=1.0)
    assert Scrape(metrics).value("runs_total", rule="churn", phase="FAILED") == 1


def test_how_things_stand_is_asked_at_each_scrape(metrics: Metrics) -> None:
    running = RuleStatus(active={("churn", RunPhase.RUNNING): 2}, pending={"churn": (3, 40, 500)})
    metrics.collector = lambda: Collected(running, engine=EngineStatus(dead_letters=6, queued=7))
    scrape = Scrape(metrics)
    assert scrape.value("runs_active", rule="churn", phase="RUNNING") == 2
    assert scrape.value("runs_active", rule="churn", phase="PENDING") == 0
    assert [scrape.value(f"pending_{what}", rule="churn") for what in ("events", "rows", "bytes")] == [3, 40, 500]
    assert (scrape.value("dead_letters"), scrape.value("engine_queue_length")) == (6, 7)
    metrics.collector = Collected
    scrape = Scrape(metrics)
    assert scrape.value("runs_active", rule="churn", phase="RUNNING") == 0
    assert scrape.value("pending_rows", rule="churn") == 0


def test_a_threshold_stands_before_the_first_value(metrics: Metrics) -> None:
    low = {"p": {"metric": {"source": "lake", "below": 0.05, "clear": 0.1}}}
    metrics.configured(Configuration([rule(triggers=DRIFT), rule("basket", triggers=low)]), problems=0, now=1.0)
    scrape = Scrape(metrics)
    assert scrape.value("metric_threshold", rule="churn", trigger="drift") == 0.2
    assert scrape.value("metric_threshold", rule="basket", trigger="p") == 0.05
    assert scrape.value("metric_threshold", rule="churn", trigger="old") is None
    assert scrape.value("metric_value", rule="churn", trigger="drift") is None


def test_ages_that_are_too_high_stand_before_the_first_run(metrics: Metrics) -> None:
    ages = [("old", "7d", "succeeded"), ("older", "14d", "succeeded"), ("stale", "30d", "promoted")]
    triggers = {name: {"freshness": {"max_age": age, "of": of}} for name, age, of in ages}
    metrics.configured(Configuration([rule(triggers=triggers), rule("basket")]), problems=0, now=1.0)
    scrape = Scrape(metrics)
    assert scrape.value("model_max_age_seconds", rule="churn", of="succeeded") == 7 * 86400, "the strictest"
    assert scrape.value("model_max_age_seconds", rule="churn", of="promoted") == 30 * 86400
    assert scrape.value("model_max_age_seconds", rule="basket", of="succeeded") is None


def test_a_rule_stands_unpaused_and_without_failures_until_told_otherwise(metrics: Metrics) -> None:
    metrics.collector = Collected
    scrape = Scrape(metrics)
    assert scrape.value("rule_consecutive_failures", rule="churn") == 0
    assert [scrape.value("rule_paused", rule="churn", by=by) for by in ("manual", "failures")] == [0, 0]
    metrics.collector = lambda: Collected(
        RuleStatus(failures={"churn": 3}, paused={"churn": {"manual": False, "failures": True}})
    )
    scrape = Scrape(metrics)
    assert scrape.value("rule_consecutive_failures", rule="churn") == 3
    assert [scrape.value("rule_paused", rule="churn", by=by) for by in ("manual", "failures")] == [0, 1]


def test_a_restart_knows_the_last_success_and_never_moves_it_back(metrics: Metrics) -> None:
    metrics.collector = lambda: Collected(
        RuleStatus(succeeded={"churn": 500.0}, fired={"churn": 400.0}, periods={"churn": 60.0})
    )
    scrape = Scrape(metrics)
    assert scrape.value("last_success_timestamp_seconds", rule="churn") == 500
    assert scrape.value("last_fired_timestamp_seconds", rule="churn") == 400
    assert scrape.value("rule_period_seconds", rule="churn") == 60
    metrics.rules.run_ended("churn", RunPhase.SUCCEEDED, 1.0, 600.0, {})
    assert Scrape(metrics).value("last_success_timestamp_seconds", rule="churn") == 600


def test_how_the_store_and_the_process_do(metrics: Metrics) -> None:
    metrics.collector = lambda: Collected(
        engine=EngineStatus(store_bytes=5, store_free_bytes=95, store_writable=False, leader=False)
    )
    scrape = Scrape(metrics)
    assert [scrape.value(f"store_{what}") for what in ("size_bytes", "free_bytes", "writable")] == [5, 95, 0]
    assert scrape.value("leader") == 0
    metrics.collector = Collected
    scrape = Scrape(metrics)
    assert (scrape.value("store_writable"), scrape.value("leader")) == (1, 1)
    assert math.isnan(scrape.value("store_free_bytes") or 0), "a store elsewhere has no room that is known"


def test_what_rules_measure_and_what_budgets_leave_is_shown_as_it_stands(metrics: Metrics) -> None:
    spends = rule(limits=OWN_BUDGET)
    metrics.configured(Configuration([spends], {}, {"growth": None}), problems=0, now=1.0)
    use_everything(metrics, "churn", "lake")
    scrape = Scrape(metrics)
    assert scrape.value("metric_value", rule="churn", trigger="drift") == 0.3
    assert scrape.value("model_trained_timestamp_seconds", rule="churn") == 5
    assert scrape.value("model_promoted_timestamp_seconds", rule="churn") == 4
    assert scrape.value("budget_left", budget="growth", unit="runs") == 2
    assert scrape.value("budget_left", budget="rule/churn", unit="gpu_hours") == 1


def test_gpu_hours_add_up_by_what_became_of_the_model(metrics: Metrics) -> None:
    for hours, promoted in ((1.0, True), (2.0, True), (4.0, False), (8.0, None)):
        metrics.rules.run_cost("churn", hours, promoted=promoted)
    scrape = Scrape(metrics)
    words = ("true", "false", "unknown")
    assert [scrape.value("run_gpu_seconds_total", rule="churn", promoted=word) for word in words] == [
        10800,
        14400,
        28800,
    ]


def test_restarts_of_watches_are_counted_once(metrics: Metrics) -> None:
    for restarts in (2, 2, 3):
        metrics.collector = lambda restarts=restarts: Collected(engine=EngineStatus(watch_restarts=restarts))
        metrics.exposition()
    assert Scrape(metrics).value("watch_restarts_total") == 3


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"team": "growth", "severity": "page"}, {"team": "growth", "severity": "page"}, id="plain"),
        pytest.param({"cost-center": "7"}, {"cost_center": "7"}, id="a name Prometheus would refuse"),
        pytest.param({"rule": "x", "mode": "y"}, {"label_rule": "x", "label_mode": "y"}, id="names that are ours"),
        pytest.param({"__name__": "x", "1st": "y"}, {"label___name__": "x", "label_1st": "y"}, id="reserved starts"),
        pytest.param({"team": 'a "b"\n\\c'}, {"team": 'a "b"\n\\c'}, id="a value to escape"),
    ],
)
def test_rule_info_carries_the_rules_own_labels(labels: dict[str, str], shown: dict[str, str]) -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.configured(Configuration([rule(labels=labels, mode="shadow"), rule("bare")]), problems=0, now=1.0)
    scrape = Scrape(metrics)
    assert scrape.value("rule_info", rule="churn", mode="shadow", **shown) == 1
    assert scrape.value("rule_info", rule="bare", mode="active") == 1


def test_a_reload_with_problems_keeps_the_moment_of_the_last_good_one(metrics: Metrics) -> None:
    metrics.configured(Configuration([rule()], {}), problems=2, now=200.0)
    scrape = Scrape(metrics)
    assert scrape.value("config_file_problems") == 2
    assert scrape.value("config_last_reload_successful") == 0
    assert scrape.value("config_last_reload_success_timestamp_seconds") == 100


@pytest.mark.parametrize(
    ("codes", "errors"),
    [
        pytest.param(["ok"], {}, id="success is no error"),
        pytest.param(["timeout", "timeout", "ok"], {"timeout": 2}, id="by code"),
        pytest.param(["novel"], {"novel": 1}, id="a code nobody foresaw"),
    ],
)
def test_submit_attempts(metrics: Metrics, codes: list[str], errors: dict[str, int]) -> None:
    for code in codes:
        metrics.engine.submit_attempt(code)
    scrape = Scrape(metrics)
    assert scrape.value("submit_attempts_total") == len(codes)
    seen = {s.labels["code"]: s.value for s in scrape.families["retrainer_submit_errors"].samples if s.value}
    assert seen == errors


def test_codes_without_end_make_no_series_without_end(metrics: Metrics) -> None:
    for number in range(200):
        metrics.engine.submit_attempt(f"code-{number}")
    samples = Scrape(metrics).families["retrainer_submit_errors"].samples
    assert len(samples) <= MOST_CODES + 1
    assert sum(s.value for s in samples) == 200


def test_latencies_of_the_path_are_histograms(metrics: Metrics) -> None:
    metrics.engine.committed(0.002, [0.01, 0.02], 5)
    metrics.engine.submitted_after(0.03)
    metrics.engine.schedule_lag(-0.001)
    scrape = Scrape(metrics)
    assert scrape.value("engine_transaction_duration_seconds_count") == 1
    assert scrape.value("queue_wait_seconds_count") == 2
    assert scrape.value("run_submit_latency_seconds_count") == 1
    assert scrape.value("schedule_lag_seconds_sum") == 0, "a slot is never early; clocks may say so"


def test_names_follow_prometheus_habits(metrics: Metrics) -> None:
    use_everything(metrics, "churn", "lake")
    scrape = Scrape(metrics)
    ours = {name: f for name, f in scrape.families.items() if name.startswith("retrainer_")}
    assert all(f.documentation for f in ours.values())
    assert not [s.name for f in ours.values() for s in f.samples if s.name.endswith("_created")]
    assert all(s.name.endswith("_total") for f in ours.values() if f.type == "counter" for s in f.samples)
    assert "process_resident_memory_bytes" in scrape.families
    assert "retrainer_build_info" in scrape.families


def test_the_name_of_the_instance_is_told() -> None:
    (info,) = Scrape(Metrics(CollectorRegistry(), name="blue")).families["retrainer_build_info"].samples
    assert info.labels["name"] == "blue"
