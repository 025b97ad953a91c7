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
BASE = "https://retrainer.dev/docs/how-to/operations/runbooks"
ALERTS = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
EACH = [pytest.param(alert, id=alert["alert"]) for alert in ALERTS]
NAMES = [alert["alert"] for alert in ALERTS]
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
    else:
        assert severity in ("critical", "warning")
    assert {"summary", "description"} <= alert["annotations"].keys()


@pytest.mark.parametrize("alert", EACH)
def test_an_alert_leads_to_its_page(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["annotations"]["runbook_url"] == f"{BASE}/{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert [f"# {name}", *re.findall(r"^## .*", page, re.MULTILINE)] == [
        page.splitlines()[0],
        "## What it means",
        "## See it",
        "## What to do",
    ]


def test_no_page_is_of_an_alert_that_is_gone() -> None:
    assert sorted(path.stem for path in RUNBOOKS.glob("*.md")) == sorted(NAMES)


@pytest.mark.parametrize("alert", EACH)
def test_an_alert_asks_for_what_is_exported(alert: dict[str, Any]) -> None:
    plain = PATTERN.sub(r"retrainer_model_\1_timestamp_seconds retrainer_model_\2_timestamp_seconds", alert["expr"])
    asked = set(re.findall(r"\bretrainer_\w+", plain))
    assert asked
    assert asked - exported_names() == set()


@pytest.mark.parametrize("alert", EACH)
def test_the_tests_have_an_alert_firing_and_silent(alert: dict[str, Any]) -> None:
    name = f'alertname="{alert["alert"]}"'
    cases = [c for path in (MONITORING / "tests").glob("*.yaml") for c in yaml.safe_load(path.read_text())["tests"]]
    firing, silent = False, False
    for case in (c for c in cases if name in str(c)):
        for asked in case["promql_expr_test"]:
            expected = [sample for sample in asked["exp_samples"] if name in sample["labels"]]
            firing = firing or bool(expected)
            silent = silent or len(case["input_series"]) - 1 > len(expected)  # the first series is for RetrainerDown
    assert (firing, silent) == (True, True)
