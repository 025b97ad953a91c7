"""The order of rules, pages in it, and how many rules there are of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.houses.teams import TeamsDaemon, teams
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
  other: {type: webhook, path: /hooks/other}
defaults: {submit: {workflow_template: train}}
rules:
  - {name: a-idle, labels: {team: fraud, tier: one}, triggers: {d: {data: {source: push, match: {k: a}}}}}
  - {name: b-paused, labels: {team: fraud}, triggers: {d: {data: {source: push, match: {k: b}}}}}
  - name: c-broken
    labels: {team: growth}
    triggers: {d: {data: {source: other, match: {k: c}}}}
    limits: {pause_after_failures: 1}
    submit: {workflow_template: fail}
  - {name: d-dark, mode: shadow, triggers: {d: {data: {source: other, match: {k: d}}}}}
"""
TEMPLATES = template("train", "echo", "trained") + template("fail", "sh", "-c", "exit 3")
WORST = ["c-broken", "b-paused", "a-idle", "d-dark"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path_factory.mktemp("house"), RULES, TEMPLATES)
    made.http.post("/hooks/other", json={"k": "c"}).raise_for_status()
    made.http.post("/api/v1/rules/b-paused/pause", json={"note": "incident"}).raise_for_status()
    until(lambda: made.http.get("/api/v1/rules/c-broken").json()["reason"] == "circuit_open", "the circuit is open")
    yield made
    made.close()


def page(house: DaemonInProcess, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = house.http.get("/api/v1/rules", params={"order": "worst", **query}).json()
    return found


def names(house: DaemonInProcess, **query: Any) -> list[str]:
    """The names on all pages."""
    found, cursor = [], {}
    while True:
        one = page(house, **query, **cursor)
        found += [line["name"] for line in one["items"]]
        if one["next"] is None:
            return found
        cursor = {"cursor": one["next"]}


def facets(house: DaemonInProcess, **query: Any) -> dict[str, Any]:
    found: dict[str, Any] = house.http.get("/api/v1/rule-facets", params=query).json()
    return found


def counts(found: dict[str, Any], facet: str) -> dict[str, int]:
    return {each["value"]: each["rules"] for each in found[facet]}


@pytest.mark.parametrize("limit", [1, 2, 50])
def test_what_needs_somebody_comes_first(house: DaemonInProcess, limit: int) -> None:
    assert names(house, limit=limit) == WORST


@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param({"mode": "paused"}, ["b-paused"], id="paused by hand"),
        pytest.param({"mode": "active"}, ["c-broken", "a-idle"], id="active"),
        pytest.param({"label": "team=fraud", "mode": "active"}, ["a-idle"], id="a team and a mode"),
        pytest.param({"state": "circuit_open"}, ["c-broken"], id="a reason"),
        pytest.param({"source": "other", "name": "d"}, ["d-dark"], id="a source and a part of the name"),
    ],
)
def test_filters_meet_in_the_order_of_the_worst(
    house: DaemonInProcess, query: dict[str, Any], found: list[str]
) -> None:
    assert names(house, **query) == found
    assert facets(house, **query)["total"] == len(found)


@pytest.mark.parametrize("cursor", ["", "x", "9", "7 zzz", "-1 a", "2", "²"])
def test_a_cursor_of_nobody_is_a_place_or_the_beginning(house: DaemonInProcess, cursor: str) -> None:
    left = [line["name"] for line in page(house, cursor=cursor)["items"]]
    assert left == WORST[len(WORST) - len(left) :]


def test_a_facet_counts_what_another_value_would_find(house: DaemonInProcess) -> None:
    everything = facets(house)
    assert (everything["total"], everything["needs_somebody"], everything["unknown"]) == (4, 1, 0)
    assert counts(everything, "teams") == {"fraud": 2, "growth": 1}
    assert counts(everything, "modes") == {"active": 2, "paused": 1, "shadow": 1}
    assert counts(everything, "sources") == {"push": 2, "other": 2}
    assert counts(everything, "reasons") == {"waiting": 2, "paused": 1, "circuit_open": 1}
    fraud = facets(house, label="team=fraud")
    assert counts(fraud, "teams") == {"fraud": 2, "growth": 1}, "the other teams stay to choose from"
    assert counts(fraud, "sources") == {"push": 2}
    both = facets(house, label="team=fraud", state="circuit_open")
    assert (both["total"], counts(both, "teams")) == (0, {"growth": 1})
    assert counts(both, "reasons") == {"waiting": 1, "paused": 1}
    assert facets(house, label=["team=fraud", "tier"])["total"] == 1


def test_a_rule_that_gets_worse_comes_first_in_the_next_answer(house: DaemonInProcess) -> None:
    first = page(house, limit=2)
    house.http.post("/api/v1/rules/a-idle/pause", json={})
    try:
        assert names(house) == ["c-broken", "a-idle", "b-paused", "d-dark"]
        rest = [line["name"] for line in page(house, cursor=first["next"])["items"]]
        assert rest == ["d-dark"], "its new place was passed already"
    finally:
        house.http.post("/api/v1/rules/a-idle/resume")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamsDaemon]:
    with teams(tmp_path_factory.mktemp("teams")) as daemon:
        yield daemon


def test_a_team_counts_its_own_rules(daemon: TeamsDaemon) -> None:
    found = daemon.get("growth", "rule-facets")
    assert (found["total"], found["unknown"], counts(found, "sources")) == (2, 0, {"growth-lake": 2})
    assert [line["name"] for line in daemon.get("growth", "rules", order="worst")["items"]] == ["uplift", "upsell"]
