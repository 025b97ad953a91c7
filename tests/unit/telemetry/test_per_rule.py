"""Metrics of each rule, their limit, and that our rendering equals that of prometheus_client."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from retrainer.runs.run import RunPhase
from retrainer.telemetry.metrics import MANY, Metrics
from retrainer.telemetry.rule_metrics import CORE
from retrainer.telemetry.series import MOST, Owned, Owners
from tests.unit.telemetry.test_metrics import Configuration, Scrape, rule, use_everything

if TYPE_CHECKING:
    from retrainer.telemetry.exposition import PerRule

ROOT = Path(__file__).parents[3]
DRIFT = {"drift": {"metric": {"source": "lake", "above": 0.2}}, "old": {"freshness": {"max_age": "7d"}}}


def made(per_rule: PerRule | None, rules: int = 1) -> Metrics:
    metrics = Metrics(CollectorRegistry(), per_rule)
    configured = [rule(f"rule-{n}", triggers=DRIFT) for n in range(rules)]
    metrics.configured(Configuration(configured, {"lake": None}), problems=0, now=1.0)
    use_everything(metrics, "rule-0", "lake")
    return metrics


def per_rule(metrics: Metrics) -> set[str]:
    """Names of the families with a series of a rule, without `retrainer_` and `_total`."""
    families = Scrape(metrics).families.values()
    return {f.name.removeprefix("retrainer_") for f in families for s in f.samples if "rule" in s.labels}


def asked_by_alerts() -> set[str]:
    groups = yaml.safe_load((ROOT / "deploy/monitoring/alerts.yaml").read_text())["groups"]
    text = " ".join(alert["expr"] for group in groups for alert in group["rules"])
    for whole, one, other in re.findall(r'(\{__name__=~"retrainer_model_\((\w+)\|(\w+)\)_timestamp_seconds"\})', text):
        text = text.replace(whole, f"retrainer_model_{one}_timestamp_seconds retrainer_model_{other}_timestamp_seconds")
    return {name.removesuffix("_total") for name in re.findall(r"retrainer_(\w+)", text)}


def test_core_is_what_the_shipped_alerts_ask_for() -> None:
    of_rules = per_rule(made("all"))
    assert per_rule(made("core")) == of_rules & asked_by_alerts()
    assert {name.removeprefix("retrainer_") for name in CORE} | {"rule_info"} == of_rules & asked_by_alerts()


@pytest.mark.parametrize(
    ("setting", "rules", "level"),
    [
        pytest.param(None, 1, "all", id="all, as there are few"),
        pytest.param(None, MANY + 1, "core", id="core, as there are many"),
        pytest.param("all", MANY + 1, "all", id="all, as was asked"),
        pytest.param("core", 1, "core", id="core, as was asked"),
        pytest.param("none", 1, "none", id="none, as was asked"),
    ],
)
def test_what_is_exported_of_each_rule(setting: PerRule | None, rules: int, level: PerRule) -> None:
    found = per_rule(made(setting, rules))
    assert ("pending_events" in found) == (level == "all")
    assert ("rule_paused" in found) == (level != "none")
    assert ("rule_info" in found) == (level != "none")
    assert bool(found) == (level != "none")
    assert Scrape(made(setting)).value("events_received_total", source="lake") == 1


def test_a_run_of_unknown_end_stands_at_zero_in_core_so_that_its_alert_sees_the_first() -> None:
    metrics = Metrics(CollectorRegistry(), "core")
    metrics.configured(Configuration([rule()]), problems=0, now=1.0)
    assert Scrape(metrics).value("runs_total", rule="churn", phase="UNKNOWN") == 0
    assert Scrape(metrics).value("runs_total", rule="churn", phase="SUCCEEDED") is None
    metrics.rules.run_entered("churn", RunPhase.SUCCEEDED)
    assert Scrape(metrics).value("runs_total", rule="churn", phase="SUCCEEDED") == 1


def test_what_was_left_out_comes_when_there_are_few_rules_again() -> None:
    metrics = made(None, MANY + 1)
    metrics.configured(Configuration([rule("rule-0")]), problems=0, now=1.0)
    metrics.rules.decided("rule-0", "fire", "schedule", 1, 2.0)
    assert Scrape(metrics).value("decisions_total", rule="rule-0", decision="fire", reason="schedule") == 1


def test_a_rule_has_so_many_series_of_one_name_and_what_is_left_out_is_counted() -> None:
    metrics = made("all")
    outputs = {f"output-{n}": n for n in range(MOST + 7)}
    metrics.rules.run_ended("rule-0", RunPhase.SUCCEEDED, 1.0, 2.0, {"outputs": orjson.dumps(outputs).decode()})
    scrape = Scrape(metrics)
    shown = [s for s in scrape.families["retrainer_run_output"].samples if s.labels["rule"] == "rule-0"]
    assert len(shown) == MOST
    assert scrape.value("metrics_series_dropped_total") == 7 + 1  # use_everything drops one
    metrics.rules.run_ended("rule-0", RunPhase.SUCCEEDED, 1.0, 2.0, {"outputs": '{"output-0": 42}'})
    assert Scrape(metrics).value("run_output", rule="rule-0", output="output-0") == 42


@pytest.mark.parametrize("value", [0.0, 1, 1e300, 1790000000.25, 123456789, 1e-7, -3.5, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("kind", ["counter", "gauge"])
@pytest.mark.parametrize("label", ["plain", 'a "b"\n\\c', "ü"])
def test_our_text_is_that_of_the_client(value: float, kind: str, label: str) -> None:
    owned = Owned(kind, "retrainer_x", "What it is.", ("rule", "a"), Owners())  # type: ignore[arg-type]
    owned.set("churn", value, label)
    registry = CollectorRegistry()
    registry.register(owned)
    assert owned.text().encode() == generate_latest(registry)


def test_a_scrape_has_each_family_once() -> None:
    text = made("all").exposition().decode()
    types = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(types) == len(set(types))
    assert list(text_string_to_metric_families(text))
