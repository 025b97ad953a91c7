"""The alerts as the chart renders them: those of deploy/monitoring/alerts.yaml, tuned and turned off by values."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .conftest import Refused, Values, render, the

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = yaml.safe_load((Path(__file__).parents[2] / "deploy/monitoring/alerts.yaml").read_text())
TUNED = [
    rule["alert"] for group in FILE["groups"] for rule in group["rules"] if "alert" in rule and "#" in rule["expr"]
]
PROMTOOL = shutil.which("promtool") or Path.home() / ".cache/retrainer-prometheus/usr/bin/promtool"


def groups(**values: Any) -> list[dict[str, Any]]:
    wanted: Values = {"prometheusRule": {"enabled": True, **values}}
    found: list[dict[str, Any]] = the("PrometheusRule", "x-retrainer", render(wanted))["spec"]["groups"]
    return found


def rules(**values: Any) -> Iterator[dict[str, Any]]:
    for group in groups(**values):
        yield from group["rules"]


def alert(name: str, **values: Any) -> dict[str, Any] | None:
    return next((rule for rule in rules(**values) if rule.get("alert") == name), None)


def test_without_changes_they_are_those_of_the_file() -> None:
    assert groups() == FILE["groups"]


def test_one_is_turned_off_and_the_others_stay() -> None:
    off = list(rules(alerts={"RetrainerNotScraped": {"enabled": False}}))
    assert [rule for rule in rules() if rule.get("alert") != "RetrainerNotScraped"] == off


@pytest.mark.parametrize("name", TUNED)
def test_each_threshold_can_be_set(name: str) -> None:
    before, after = alert(name), alert(name, alerts={name: {"threshold": 12.5}})
    assert before is not None
    assert after is not None
    assert after["expr"] == re.sub(r"[0-9.]+  # threshold", "12.5  # threshold", before["expr"])
    assert after["expr"] != before["expr"]


def test_duration_severity_and_labels() -> None:
    tuned = {"for": "15m", "severity": "critical", "labels": {"team": "data", "scope": None}}
    found = alert(
        "RetrainerSourceBehind", alerts={"RetrainerSourceBehind": tuned}, alertLabels={"team": "a", "env": "b"}
    )
    assert found is not None
    assert found["for"] == "15m"
    assert found["labels"] == {"scope": "source", "severity": "critical", "team": "data", "env": "b"}


def test_an_entry_that_is_null_changes_nothing() -> None:
    assert groups(alerts={"RetrainerDown": None, "RetrainerBehind": {"threshold": None, "for": None}}) == FILE["groups"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"alerts": {"RetrainerBehindd": {"enabled": False}}}, "there is no such alert; there are RetrainerDown, "),
        (
            {"alerts": {"RetrainerDown": {"threshold": 1}}},
            "prometheusRule.alerts.RetrainerDown.threshold: this alert has none",
        ),
        ({"alerts": {"RetrainerDown": {"for": "soon"}}}, "for"),
        (
            {"matchers": {"pod": "x"}},
            "prometheusRule.matchers.pod: recorded series have the labels cluster, namespace and job",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=re.escape(said)):
        groups(**values)


def test_matchers_are_on_each_series() -> None:
    wanted = 'job="x", namespace="ml"'
    for rule in rules(matchers={"namespace": "ml", "job": "x"}):
        series = re.findall(
            r"\b(job:retrainer_\w+:\w+|retrainer_\w+(?![\w(:])|process_start_time_seconds|up\b)", rule["expr"]
        )
        assert rule["expr"].count(wanted) == len(series) + rule["expr"].count("__name__"), rule["expr"]


@pytest.mark.skipif(not Path(PROMTOOL).exists(), reason="promtool is not here")
@pytest.mark.parametrize(
    "values",
    [{}, {"matchers": {"namespace": "ml", "job": "x"}}, {"alerts": {name: {"threshold": 1e6} for name in TUNED}}],
    ids=["as they are", "matchers", "thresholds"],
)
def test_prometheus_reads_them(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups(**values)}))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", tmp_path / "rules.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
