"""The cost of a page of rules depends on the rules shown, and filters match the current states."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api import rule_summaries
from retrainer.api.rule_listing import RuleListing, RuleQuery
from retrainer.api.verdicts import Verdicts
from retrainer.store.pages import PageRequest
from tests.houses.daemon_in_process import DaemonInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
  other: {type: webhook, path: /hooks/other}
defaults: {submit: {workflow_template: train}}
rules:
  - name: churn-de
    labels: {team: fraud}
    triggers: {d: {data: {source: push, batch: {at_least: {events: 2}}}}}
    limits: {cooldown: {period: 30d, from: fired}}
  - {name: churn-fr, labels: {team: growth}, mode: shadow, triggers: {d: {data: {source: other}}}}
  - {name: night, labels: {team: fraud}, triggers: {s: {schedule: {cron: "0 3 1 1 *"}}}}
  - {name: still, mode: paused, triggers: {d: {data: {source: push, batch: {at_least: {events: 9}}}}}}
"""
KEYED = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: keyed
    for_each: {by: {d: event.data.user}}
    triggers: {d: {data: {source: push, batch: {at_least: {events: 3}}}}}
    submit: train
"""
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  templates: [{name: main, script: {image: python:3.11, command: [python], source: "pass"}}]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path_factory.mktemp("house"), RULES, TEMPLATE)
    yield made
    made.close()


def names(house: DaemonInProcess, **query: Any) -> list[str]:
    """The names on all pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = house.http.get("/api/v1/rules", params={**query, **({"cursor": cursor} if cursor else {})}).json()
        found += [line["name"] for line in page["items"]]
        cursor = page["next"]
        if cursor is None:
            return found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({}, ["churn-de", "churn-fr", "night", "still"], id="all of them by name"),
        pytest.param({"limit": 1}, ["churn-de", "churn-fr", "night", "still"], id="one on each page"),
        pytest.param({"name": "churn"}, ["churn-de", "churn-fr"], id="a part of the name"),
        pytest.param({"name": "-fr", "limit": 1}, ["churn-fr"], id="a part of the name, paged"),
        pytest.param({"name": "nobody"}, [], id="no such name"),
        pytest.param({"source": "push"}, ["churn-de", "still"], id="a source"),
        pytest.param({"source": "nope"}, [], id="no such source"),
        pytest.param({"label": "team"}, ["churn-de", "churn-fr", "night"], id="a label"),
        pytest.param({"label": "team=fraud"}, ["churn-de", "night"], id="a label and its value"),
        pytest.param({"label": ["team=fraud", "team=growth"]}, [], id="all labels must be there"),
        pytest.param({"state": "shadow"}, ["churn-fr"], id="a mode"),
        pytest.param({"state": "paused"}, ["still"], id="paused"),
        pytest.param({"state": "hold"}, ["churn-de", "churn-fr", "night", "still"], id="a decision"),
        pytest.param({"state": "waiting", "source": "push"}, ["churn-de"], id="a reason, of a source"),
        pytest.param({"state": "cooldown"}, [], id="a reason that no rule has"),
    ],
)
def test_filters_and_pages(house: DaemonInProcess, query: dict[str, Any], found: list[str]) -> None:
    assert names(house, **query) == found


def test_the_command_line_follows_the_pages_and_filters(house: DaemonInProcess) -> None:
    told = house.ask("rules", "--label", "team=fraud").output
    assert "churn-de" in told
    assert "night" in told
    assert "still" not in told
    assert "churn-fr" in house.ask("rules", "--name", "churn", "--state", "shadow").output


def test_one_rule_has_its_line_and_configuration(house: DaemonInProcess) -> None:
    line = house.http.get("/api/v1/rules/night").json()
    assert (line["name"], line["decision"], line["labels"]) == ("night", "hold", {"team": "fraud"})
    assert line["configuration"]["triggers"]["s"]["schedule"]["cron"] == "0 3 1 1 *"
    assert house.http.get("/api/v1/rules/nobody").status_code == 404


def test_a_verdict_that_is_remembered_is_found_anew_once_its_state_changes(tmp_path: Any) -> None:
    house = DaemonInProcess(tmp_path, RULES, TEMPLATE)
    try:
        assert names(house, state="waiting", source="push") == ["churn-de"]
        remembered = house.app.api.rules.verdicts.of(("churn-de",))["churn-de"]
        assert names(house, state="waiting", source="push") == ["churn-de"]
        assert house.app.api.rules.verdicts.of(("churn-de",))["churn-de"] is remembered
        for n in range(2):
            house.http.post("/hooks/push", json={"n": n})
        assert names(house, state="cooldown") == []
        house.http.post("/hooks/push", json={"n": 3})
        house.http.post("/hooks/push", json={"n": 4})
        assert names(house, state="waiting", source="push") == []
        assert house.app.api.rules.verdicts.of(("churn-de",))["churn-de"] is not remembered
    finally:
        house.close()


def test_a_page_looks_at_no_more_rules_than_it_may(house: DaemonInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.api.rule_listing.MOST_JUDGED", 1)
    monkeypatch.setattr("retrainer.api.rule_listing.FEW", 0)
    monkeypatch.setattr("retrainer.api.rule_listing.CHUNK", 1)
    parts = house.app.store, house.app.clock, lambda: house.app.engine.catalog
    page = RuleListing(*parts, Verdicts(*parts)).page(RuleQuery(PageRequest(), state="cooldown"))
    assert page.items == []
    assert page.next == "churn-de"
    assert names(house, state="hold") == ["churn-de", "churn-fr", "night", "still"]


def test_explain_says_that_a_key_is_missing_or_unknown(tmp_path: Path) -> None:
    house = DaemonInProcess(tmp_path, KEYED, TEMPLATE)

    def key_of(key: str) -> list[tuple[str, str]]:
        tree = house.http.post("/api/v1/rules/keyed/explain", json={"key": key}).json()["tree"]
        return [(node["state"], node["detail"]) for node in tree if node["name"] == "key"]

    try:
        assert key_of("") == [("not given", "no key has a state yet")]
        house.http.post("/hooks/push", json={"user": "u-1"}).raise_for_status()
        assert key_of("") == [("not given", "give one of the rule's keys, such as u-1 (1 in all)")]
        assert key_of("u-2") == [("unknown", "give one of the rule's keys, such as u-1 (1 in all)")]
        assert key_of("u-1") == []
    finally:
        house.close()


def test_a_time_far_away_does_not_hold_the_store(house: DaemonInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    store, asked, explained = house.app.api.engine.store, [], rule_summaries.explain

    def explain(*given: Any) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as other:
            asked.append(other.submit(store.read, lambda conn: conn.exec_driver_sql("SELECT 1").scalar()))
            wait(asked, 5)
            assert asked[-1].done()
        return explained(*given)

    monkeypatch.setattr(rule_summaries, "explain", explain)
    answer = house.http.post("/api/v1/rules/night/explain", json={"at": "2199-12-31T00:00:00Z"})
    assert (answer.status_code, [one.result() for one in asked]) == (200, [1])
