"""The committed dashboards are those that the code generates, with the fields that Grafana and users need."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.monitoring.dashboards import FOLDER, rendered
from retrainer.telemetry.metrics import Metrics

NAMES = ["operations", "overview", "rule", "sources-and-engine"]
BOARDS = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in NAMES}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
ALERT_RULES = yaml.safe_load((FOLDER.parent / "alerts.yaml").read_text())["groups"]
RECORDED = {rule["record"] for group in ALERT_RULES for rule in group["rules"] if "record" in rule}
LONG = ("[1d]", "[1h]", "[$__range]")


def test_what_is_committed_is_what_the_code_makes() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == rendered(), "run `make dashboards`"


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_found_under_the_same_address_for_ever(name: str) -> None:
    assert BOARDS[name]["uid"] == f"retrainer-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_variables_choose_where_to_look(name: str) -> None:
    variables = {v["name"]: v for v in BOARDS[name]["templating"]["list"]}
    assert list(variables) == ["datasource", "cluster", "namespace", "job", *(["rule"] if name == "rule" else [])]
    assert variables["cluster"]["allValue"] == ".*", "All also finds what has no cluster"
    assert [variables[label].get("includeAll", False) for label in ("namespace", "job")] == [name != "rule"] * 2


@pytest.mark.parametrize("name", NAMES)
def test_no_panel_lies_on_another(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", NAMES)
def test_panels_and_queries_have_names_of_their_own(name: str) -> None:
    panels = BOARDS[name]["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    for panel in panels:
        letters = [t["refId"] for t in panel.get("targets", [])]
        assert len(set(letters)) == len(letters)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_its_unit_and_asks_the_chosen_source(panel: dict[str, Any]) -> None:
    assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    assert {t["datasource"]["uid"] for t in panel["targets"]} == {"${datasource}"}


@pytest.mark.parametrize("panel", PANELS)
def test_rates_fit_the_scrape_interval(panel: dict[str, Any]) -> None:
    ranges = [found for t in panel["targets"] for found in re.findall(r"\[[^]]*\]", t["expr"])]
    assert [r for r in ranges if r not in ("[$__rate_interval]", *LONG)] == []


@pytest.mark.parametrize("panel", PANELS)
def test_queries_ask_for_what_is_exported_within_the_chosen_namespace(panel: dict[str, Any]) -> None:
    series = r"\b(job:retrainer_\w+:\w+|retrainer_\w+|process_\w+|ALERTS)(\{[^}]*\})?"
    asked = [found for t in panel["targets"] for found in re.findall(series, t["expr"])]
    known = exported_names() | RECORDED | {"ALERTS"}
    assert [name for name, _ in asked if name not in known and not name.startswith("process_")] == []
    selected = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"'
    assert [name for name, selector in asked if selected not in selector] == []


@pytest.mark.parametrize("panel", PANELS)
def test_what_is_of_one_rule_or_source_does_not_merge_across_installations(panel: dict[str, Any]) -> None:
    grouped = [found for t in panel["targets"] for found in re.findall(r"\b(?:by|on) \(([^)]*)\)", t["expr"])]
    of_one = [labels for labels in grouped if {"rule", "source", "budget", "instance"} & set(labels.split(", "))]
    assert [labels for labels in of_one if not labels.startswith("cluster, namespace, job")] == [] or (
        '"$rule"' in str(panel)
    )


@pytest.mark.parametrize("panel", [p for p in PANELS if p.values[0]["type"] == "stat"])
def test_a_number_is_not_green_while_nothing_is_known(panel: dict[str, Any]) -> None:
    """A count that falls back to 0 does so only if a process was scraped, or 0 is red."""
    defaults = panel["fieldConfig"]["defaults"]
    (target,) = panel["targets"]
    base = defaults["thresholds"]["steps"][0]["color"]
    assert "vector(" not in target["expr"] or base == "red"
    assert defaults["noValue"] == "no data"


def test_the_operations_dashboard_is_red_when_it_is_broken() -> None:
    panels = {panel["title"]: panel for panel in BOARDS["operations"]["panels"]}
    for title in ("Processes", "Store accepts writes", "Rule files valid"):
        steps = panels[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert [(step.get("value"), step["color"]) for step in steps] == [(None, "red"), (1, "green")]


def test_names_of_alerts_leave_room_for_the_link_to_their_runbooks() -> None:
    (table,) = [panel for panel in BOARDS["operations"]["panels"] if panel["title"] == "Firing alerts"]
    (named,) = [o for o in table["fieldConfig"]["overrides"] if o["matcher"]["options"] == "alertname"]
    assert named["properties"] == [{"id": "links", "value": []}], "what the chart replaces"


@pytest.mark.parametrize(
    ("name", "marks"),
    [
        ("rule", ["Runs started", "Runs failed"]),
        ("overview", ["Runs failed"]),
        ("operations", ["Restarts"]),
    ],
)
def test_runs_and_restarts_are_marked_on_the_panels(name: str, marks: list[str]) -> None:
    found = BOARDS[name]["annotations"]["list"]
    assert [mark["name"] for mark in found] == marks
    for mark in found:
        assert mark["enable"]
        assert mark["titleFormat"]
        assert set(re.findall(r"\bretrainer_\w+", mark["expr"])) <= exported_names()


def exported_names() -> set[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    names = set()
    for metric in registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        names |= {f"{metric.name}{end}" for end in ends}
    return names
