"""The overview of a daemon: its health, what needs somebody with the way out, what is held, what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.store.base import StoreBusyError
from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
  quiet: {type: webhook, path: /hooks/quiet, max_silence: 1s}
rules:
  - {name: churn, triggers: {d: {data: {source: push, match: {kind: file}}}}, submit: {workflow_template: train}}
  - name: fraud
    triggers: {d: {data: {source: push, match: {kind: payment}}}}
    limits: {pause_after_failures: 1}
    submit: {workflow_template: fail}
  - {name: still, mode: paused, triggers: {d: {data: {source: quiet}}}, submit: {workflow_template: train}}
"""
TEMPLATES = template("train", "true") + template("fail", "false")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path, RULES, TEMPLATES)
    yield made
    made.close()


def overview(house: DaemonInProcess) -> Any:
    return house.http.get("/api/v1/overview").raise_for_status().json()


def group(house: DaemonInProcess, kind: str) -> Any:
    return next((each for each in overview(house)["needs"] if each["kind"] == kind), None)


def needed(house: DaemonInProcess, kind: str) -> Any:
    until(lambda: group(house, kind) is not None, f"somebody is needed: {kind}")
    return group(house, kind)


def push(house: DaemonInProcess, **data: Any) -> None:
    house.http.post("/hooks/push", json=data)


def test_a_daemon_that_works(house: DaemonInProcess) -> None:
    found = overview(house)
    health = found["health"]
    assert (health["role"], health["ready"], health["rules"], health["rule_problems"]) == ("leader", True, 3, 0)
    assert (health["sources"], health["working"], health["halted"], health["store"]) == (2, 2, 0, "")
    assert health["sentence"] == "This replica decides; decisions are up to date. 3 rules; 2 of 2 sources work."
    assert (found["verdicts"]["rules"], found["verdicts"]["known"]) == (3, 3)
    by = {count["reason"]: (count["decision"], count["count"], count["idle"]) for count in found["verdicts"]["by"]}
    assert by == {"waiting": ("hold", 2, True), "paused": ("hold", 1, False)}


def test_a_circuit_breaker_is_found_at_once_with_its_way_out(house: DaemonInProcess) -> None:
    assert group(house, "circuit_open") is None
    push(house, kind="payment")
    found = needed(house, "circuit_open")
    (item,) = found["items"]
    assert (found["count"], item["name"], item["rule"], item["act"]) == (1, "fraud", "fraud", "resume")
    assert "circuit_open" in item["sentence"]
    assert item["since"] is not None
    assert "resume the rule" in found["way_out"]
    assert overview(house)["runs"]["ended"] == {"FAILED": 1}
    house.http.post("/api/v1/rules/fraud/resume").raise_for_status()
    assert group(house, "circuit_open") is None


def test_a_source_that_is_silent_and_dead_letters(house: DaemonInProcess) -> None:
    silent = needed(house, "silent")
    assert [item["source"] for item in silent["items"]] == ["quiet"]
    house.http.post("/hooks/push", content="{broken", headers={"content-type": "application/json"})
    house.http.post("/hooks/push", content="{broken too", headers={"content-type": "application/json"})
    letters = needed(house, "dead_letters")
    assert letters["count"] >= 1
    assert letters["items"][0]["source"] == "push"


def test_a_rule_file_with_a_mistake(house: DaemonInProcess) -> None:
    (house.folder / "rules/rules.yaml").write_text(RULES.replace("fraud", "fr aud"))
    house.http.post("/-/reload").raise_for_status()
    found = needed(house, "rule_file")
    assert "fr aud" in found["items"][0]["sentence"]
    assert overview(house)["health"]["rule_problems"] == 1
    assert "1 mistake in rule files" in overview(house)["health"]["sentence"]


def test_without_the_store_it_says_so_and_shows_the_rest(
    house: DaemonInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise StoreBusyError("db.example: connection refused")

    monkeypatch.setattr(house.app.store, "read", gone)
    health = overview(house)["health"]
    assert health["store"] == "db.example: connection refused"
    assert "The store cannot be read" in health["sentence"]
    assert health["rules"] == 3


def test_a_standby_says_who_decides(house: DaemonInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.app.engine, "standby", "this replica is a standby")
    assert overview(house)["health"]["role"] == "no_leader"
    status = house.http.get("/api/v1/status").json()
    assert (status["role"], status["sentence"].startswith("No replica decides")) == ("no_leader", True)
