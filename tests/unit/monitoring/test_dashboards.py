"""The committed dashboards are those that the code generates, with the fields that Grafana and users need."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
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
LONG = ("[1d]", "[$__range]")


def test_what_is_committed_is_what_the_code_makes() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == rendered(), "run `make dashboards`"


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_found_under_the_same_address_for_ever(name: str) -> None:
    assert BOARDS[name]["uid"] == f"retrainer-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_variables_choose_where_to_look(name: str) -> None:
    variables = {v["name"]: v for v in BOARDS[name]["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", *(["rule"] if name == "rule" else [])]
    assert variables["namespace"]["allValue"] == ".*", "All also finds what has no namespace"


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
    asked = [found for t in panel["targets"] for found in re.findall(r"\b(retrainer_\w+)(\{[^}]*\})?", t["expr"])]
    exported = exported_names()
    assert [name for name, _ in asked if name not in exported] == []
    assert [name for name, selector in asked if 'namespace=~"$namespace"' not in selector] == []


def exported_names() -> set[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    names = set()
    for metric in registry.collect():
        ends = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(metric.type, ("",))
        names |= {f"{metric.name}{end}" for end in ends}
    return names
