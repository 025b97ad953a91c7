"""Every panel of every dashboard shows data of a busy daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.monitoring.scene import ROOT, VARIABLES
from tests.waiting import until

if TYPE_CHECKING:
    from tests.integration.monitoring.scene import Scene

BOARDS = sorted((ROOT / "deploy/monitoring/dashboards").glob("*.json"))
QUERIES = [
    pytest.param(target, id=f"{path.stem}: {panel['title']}, {target['refId']}")
    for path in BOARDS
    for panel in json.loads(path.read_text())["panels"]
    for target in panel.get("targets", [])
]
A_SLOT = 90
"""Seconds within which a minute starts, and its effects are scraped."""


@pytest.mark.parametrize("target", QUERIES)
def test_a_panel_has_something_to_show(scene: Scene, target: dict[str, Any]) -> None:
    instant = target.get("instant", False)
    until(lambda: scene.ask(target["expr"], instant=instant), target["expr"], A_SLOT)


def test_variables_offer_what_there_is(scene: Scene) -> None:
    (board,) = [json.loads(path.read_text()) for path in BOARDS if path.stem == "rule"]
    asked = {v["name"]: v["query"] for v in board["templating"]["list"]}
    namespaces = ["gone", "lab", VARIABLES["namespace"], "sick"]
    until(lambda: scene.offered(asked["namespace"]) == namespaces, "the namespaces")
    assert scene.offered(asked["rule"]) == ["basket", "churn"]


def test_outcomes_of_events_add_up_to_what_was_received(scene: Scene) -> None:
    words = ("matched", "filtered", "duplicate", "dead_lettered", "ignored")
    outcomes = [f'retrainer_events_{word}_total{{namespace="ml"}}' for word in words]
    until(lambda: scene.ask("retrainer_events_dead_lettered_total > 0", instant=True), "the dead letter is counted")
    difference = f'sum(retrainer_events_received_total{{namespace="ml"}}) - sum({" + ".join(outcomes)})'
    assert scene.ask(difference, instant=True) == [0]
