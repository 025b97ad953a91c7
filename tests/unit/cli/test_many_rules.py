"""Pause, resume and trigger of several rules, against a daemon: the answer of each rule, and the exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from retrainer.cli import many_rules
from tests.houses.daemon_in_process import DaemonInProcess, template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
defaults: {submit: {workflow_template: train}}
rules:
  - {name: one, labels: {team: growth}, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - {name: two, labels: {team: growth}, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - {name: other, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - {name: dark, mode: shadow, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
"""
TEMPLATE = template("train", "echo", "trained")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path, RULES, TEMPLATE)
    yield made
    made.close()


def paused(house: DaemonInProcess) -> set[str]:
    return {rule["name"] for rule in house.http.get("/api/v1/rules").json()["items"] if rule["paused"]}


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


def test_several_are_paused_by_name_and_resumed_by_label_after_a_dry_run(house: DaemonInProcess) -> None:
    tried = house.ask("pause", "one", "two", "--dry-run", "--note", "move").stdout
    assert "Nothing was changed. It would be: 2 done." in tried
    assert paused(house) == set()
    done = cells(house.ask("pause", "one", "two", "other", "--note", "move").stdout)
    assert done[0] == ["RULE", "RESULT", "RUN", "DETAIL"]
    assert done[1] == ["one", "done", "-", "no run starts until it is resumed"]
    assert done[-1] == ["3 done."]
    assert "it is paused already: move" in house.ask("pause", "one", "--dry-run").stdout
    house.ask("resume", "--label", "team=growth")
    assert paused(house) == {"other"}


def test_one_name_with_dry_run_changes_nothing(house: DaemonInProcess) -> None:
    assert "1 done." in house.ask("pause", "one", "--dry-run").stdout
    assert paused(house) == set()
    house.ask("pause", "one")
    assert "1 done." in house.ask("resume", "one", "--dry-run").stdout
    assert paused(house) == {"one"}


def test_one_that_is_refused_makes_the_exit_code_1_and_does_not_stop_the_others(house: DaemonInProcess) -> None:
    printed = house.ask("pause", "nobody", "one", code=1).stdout
    assert "there is no rule 'nobody'" in printed
    assert "1 done, 1 refused." in printed
    assert paused(house) == {"one"}


def test_triggers_have_a_run_each_and_a_repeated_request_has_the_same_ones(house: DaemonInProcess) -> None:
    again = ("trigger", "one", "two", "dark", "--idempotency-key", "k", "-o", "json")
    assert json.loads(house.ask(*again, "--dry-run", code=1).stdout)["items"][0]["run"] is None
    assert house.http.get("/api/v1/runs").json()["items"] == []
    first, second = (json.loads(house.ask(*again, code=1).stdout) for _ in range(2))
    assert (first["act"], first["dry_run"], first["done"], first["refused"]) == ("trigger", False, 2, 1)
    runs = {item["run"] for item in first["items"] if item.get("run")}
    assert runs == {run["id"] for run in house.http.get("/api/v1/runs").json()["items"]}
    assert len(runs) == 2
    assert runs == {item["run"] for item in second["items"] if item.get("run")}


def test_more_rules_than_one_request_takes_are_sent_in_several(
    house: DaemonInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many_rules, "_MOST", 2)
    answer = json.loads(house.ask("pause", "one", "two", "one", "other", "dark", "-o", "json").stdout)
    assert [item["rule"] for item in answer["items"]] == ["one", "two", "other", "dark"]
    assert answer["done"] == 4
    assert paused(house) == {"one", "two", "other", "dark"}


REFUSED = [
    pytest.param(["pause"], 2, "name rules, or give --label", id="neither"),
    pytest.param(["resume", "one", "--label", "team"], 2, "not both", id="both"),
    pytest.param(["pause", "--label", "team=nobody"], 1, "no rule has the label team=nobody", id="no-such-label"),
    pytest.param(["trigger", "one", "two", "--key", "de"], 2, "are for one rule", id="key"),
    pytest.param(["trigger", "--label", "team", "--cancel"], 2, "are for one rule", id="cancel"),
    pytest.param(["trigger", "one", "two", "--param", "a=b"], 2, "are for one rule", id="param"),
    pytest.param(["trigger", "one", "two", "--follow"], 2, "are for one rule", id="follow"),
]


@pytest.mark.parametrize(("command", "code", "expected"), REFUSED)
def test_what_is_unclear_is_refused(house: DaemonInProcess, command: list[str], code: int, expected: str) -> None:
    assert expected in house.ask(*command, code=code).stderr
    assert paused(house) == set()
    assert house.http.get("/api/v1/runs").json()["items"] == []
