"""Every alert has the annotations that an on-call operator needs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.monitoring.test_dashboards import exported_names

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "deploy/monitoring"
RUNBOOKS = ROOT / "docs/how-to/operations/runbooks"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
EACH = [pytest.param(alert, id=alert["alert"]) for alert in ALERTS]
NAMES = [alert["alert"] for alert in ALERTS]
BY_STAGE = "{{ if eq $labels.stage `engine` }}critical{{ else }}warning{{ end }}"
INSTALLATION = "cluster, namespace, job"
GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
PATTERN = re.compile(r'\{__name__=~"retrainer_model_\((\w+)\|(\w+)\)_timestamp_seconds"\}')


@pytest.mark.parametrize("alert", EACH)
def test_an_alert_says_what_it_is_about_and_how_urgent_it_is(alert: dict[str, Any]) -> None:
    scope, severity = alert["labels"]["scope"], alert["labels"]["severity"]
    assert scope in ("service", "source", "rule")
    if scope == "rule":
        assert severity == "{{ with $labels.severity }}{{ . }}{{ else }}warning{{ end }}", (
            "the rule's own, if it has one"
        )
        assert "group_left (team, severity)" in alert["expr"]
        assert alert["expr"].count("topk by") == 1, "one team and severity, also while a label is edited"
    else:
        assert severity in ("critical", "warning", BY_STAGE)
    assert {"summary", "description"} <= alert["annotations"].keys()


@pytest.mark.parametrize("alert", EACH)
def test_an_alert_leads_to_its_page(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["annotations"]["runbook"] == f"retrainer runbook {name}"
    assert "runbook_url" not in alert["annotations"], "no address is known before somebody publishes the pages"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert [f"# {name}", *re.findall(r"^## .*", page, re.MULTILINE)] == [
        page.splitlines()[0],
        "## What it means",
        "## See it",
        "## What to do",
    ]


def test_no_page_is_of_an_alert_that_is_gone() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == sorted(NAMES)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=f"{n}") for n, rule in enumerate(RULES)])
def test_installations_are_kept_apart(rule: dict[str, Any]) -> None:
    assert [labels for labels in GROUPED.findall(rule["expr"]) if not labels.startswith(INSTALLATION)] == []


def test_inhibitions_keep_installations_apart_and_name_alerts_that_exist() -> None:
    for inhibition in yaml.safe_load((MONITORING / "alertmanager.yaml").read_text())["inhibit_rules"]:
        assert inhibition["equal"][:3] == INSTALLATION.split(", ")
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"]):
            label, pattern = re.fullmatch(r'(\w+)=~?"(.*)"', matcher).groups()  # type: ignore[union-attr]
            known = NAMES if label == "alertname" else {alert["labels"][label] for alert in ALERTS}
            for alternative in pattern.split("|"):
                assert [name for name in known if re.fullmatch(alternative, name)], alternative


def test_only_alerts_of_the_whole_service_inhibit_those_of_rules() -> None:
    """One rule that is refused must not silence other rules."""
    inhibitions = yaml.safe_load((MONITORING / "alertmanager.yaml").read_text())["inhibit_rules"]
    sources = {matcher for i in inhibitions for matcher in i["source_matchers"]}
    assert not [matcher for matcher in sources if "RetrainerSubmitRefused" in matcher or "scope" in matcher]


@pytest.mark.parametrize("alert", EACH)
def test_a_threshold_stands_alone_on_its_line_so_that_the_chart_can_replace_it(alert: dict[str, Any]) -> None:
    marked = [line for line in alert["expr"].splitlines() if "#" in line]
    assert [line for line in marked if not re.fullmatch(r"\s*([<>]=?|and)? ?[0-9.]+  # threshold", line)] == []
    assert len({re.search(r"[0-9.]+", line)[0] for line in marked}) <= 1, "one alert has one threshold"  # type: ignore[index]


@pytest.mark.parametrize("alert", EACH)
def test_an_alert_asks_for_what_is_exported(alert: dict[str, Any]) -> None:
    plain = PATTERN.sub(r"retrainer_model_\1_timestamp_seconds retrainer_model_\2_timestamp_seconds", alert["expr"])
    recorded = set(re.findall(r"\bjob:retrainer_\w+:\w+", plain))
    assert recorded <= RECORDED
    asked = set(re.findall(r"\b(?<!:)retrainer_\w+|\bup\b", plain)) - {"up"}
    assert asked or recorded
    assert asked - exported_names() == set()


@pytest.mark.parametrize("alert", EACH)
def test_the_tests_have_an_alert_firing_and_silent_with_two_replicas(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    cases = [c for path in (MONITORING / "tests").glob("*.yaml") for c in yaml.safe_load(path.read_text())["tests"]]
    own = [c for c in cases if f'"{name}"' in str(c)]
    asked = [a for c in own for a in c["promql_expr_test"]]
    assert {bool(a["exp_samples"]) for a in asked} == {True, False}
    series = [s["series"] for c in own for s in c["input_series"]]
    if name != "RetrainerNotScraped":  # it is about nothing at all
        assert any('instance="2"' in each for each in series)
        assert len({tuple(re.findall(r'(?:cluster|namespace|job)="(\w+)"', each)) for each in series}) > 1
