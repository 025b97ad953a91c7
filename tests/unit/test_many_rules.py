"""One act on many rules: each has its own answer, and none spoils the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import operator_commands
from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.houses.teams import TeamsDaemon, teams

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
pools: {gpu: 1}
defaults: {submit: {workflow_template: train}}
rules:
  - {name: one, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - {name: two, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - {name: idle, mode: paused, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - {name: dark, mode: shadow, triggers: {d: {data: {source: push, match: {data.k: never}}}}}
  - name: keyed
    for_each: {by: {d: event.data.user}}
    triggers: {d: {data: {source: push, match: {data.k: user}}}}
  - name: alone
    triggers: {d: {data: {source: push, match: {data.k: never}}}}
    limits: {overlap: buffer_one, pool: gpu}
    submit: {workflow_template: sleep}
  - name: pooled
    triggers: {d: {data: {source: push, match: {data.k: never}}}}
    limits: {pool: gpu}
  - name: due
    triggers: {d: {data: {source: push, match: {data.k: due}}}}
"""
TEMPLATES = template("train", "echo", "trained") + template("sleep", "sleep", "60")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path, RULES, TEMPLATES)
    yield made
    made.close()


def act(house: DaemonInProcess, act: str, *rules: str, key: str | None = None, **more: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key is not None else {}
    answer = house.http.post("/api/v1/rule-acts", json={"act": act, "rules": rules, **more}, headers=headers)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def results(answer: dict[str, Any]) -> dict[str, str]:
    return {item["rule"]: item["result"] for item in answer["items"]}


def paused(house: DaemonInProcess) -> set[str]:
    return {rule["name"] for rule in house.http.get("/api/v1/rules").json()["items"] if rule["paused"]}


def activity(house: DaemonInProcess, act: str) -> list[tuple[str, str]]:
    items = house.http.get("/api/v1/activity").json()["items"]
    return sorted((item["rule"], item["detail"]) for item in items if item["act"] == act and item["result"] == "done")


def test_many_are_paused_and_resumed_and_each_is_recorded(house: DaemonInProcess) -> None:
    preview = act(house, "pause", "one", "two", "idle", "nobody", note="incident 7", dry_run=True)
    assert paused(house) == {"idle"}
    assert activity(house, "pause") == []
    done = act(house, "pause", "one", "two", "idle", "nobody", "one", note="incident 7")
    assert results(preview) == results(done)
    assert results(done) == {"one": "done", "two": "done", "idle": "unchanged", "nobody": "refused"}
    assert (done["done"], done["unchanged"], done["refused"]) == (2, 1, 1)
    assert done["items"][3]["detail"] == "there is no rule 'nobody'"
    assert paused(house) == {"idle", "one", "two"}
    assert activity(house, "pause") == [("one", "incident 7"), ("two", "incident 7")]
    again = act(house, "pause", "one", note="another")
    assert again["items"][0]["detail"] == "it is paused already: incident 7"
    assert results(act(house, "resume", "one", "two", "idle", "due")) == {
        "one": "done", "two": "done", "idle": "unchanged", "due": "unchanged",
    }  # fmt: skip
    assert paused(house) == {"idle"}


def test_the_dry_run_of_resume_says_what_fires_at_once(house: DaemonInProcess) -> None:
    act(house, "pause", "due", "one")
    event = {"specversion": "1.0", "id": "1", "source": "t", "type": "t", "data": {"k": "due"}}
    headers = {"content-type": "application/cloudevents+json"}
    house.http.post("/hooks/push", json=event, headers=headers).raise_for_status()
    preview = act(house, "resume", "due", "one", dry_run=True)
    assert [item["detail"].endswith("; then it fires at once") for item in preview["items"]] == [True, False]
    assert house.http.get("/api/v1/runs?rule=due").json()["items"] == []
    act(house, "resume", "due", "one")
    assert len(house.http.get("/api/v1/runs?rule=due").json()["items"]) == 1


def test_a_trigger_says_for_each_rule_its_run_or_what_holds_it(house: DaemonInProcess) -> None:
    assert results(act(house, "trigger", "alone")) == {"alone": "done"}
    rules = ("one", "alone", "pooled", "dark", "keyed")
    preview = act(house, "trigger", *rules, dry_run=True)
    assert {item["run"] for item in preview["items"]} == {None}
    done = act(house, "trigger", *rules)
    assert results(preview) == results(done)
    assert results(done) == {"one": "done", "alone": "waits", "pooled": "waits", "dark": "refused", "keyed": "refused"}
    one, alone, pooled, dark, keyed = done["items"]
    assert house.http.get(f"/api/v1/runs/{one['run']}").json()["rule"] == "one"
    assert (alone["decision"], alone["reason"], alone["run"]) == ("hold", "overlap", None)
    assert pooled["detail"] == preview["items"][2]["detail"] == "its run waits: the only slot of pool gpu is taken"
    assert pooled["run"] is not None
    assert "mode shadow" in dark["detail"]
    assert "has keys" in keyed["detail"]
    recorded = [rule for rule, _ in activity(house, "trigger")]
    assert recorded == ["alone", "alone", "one", "pooled"]


def test_a_repeated_request_gives_the_same_runs(house: DaemonInProcess) -> None:
    first = act(house, "trigger", "one", key="k")
    both = act(house, "trigger", "one", "two", key="k")
    assert both["items"][0]["run"] == first["items"][0]["run"]
    assert results(both) == {"one": "done", "two": "done"}
    assert len(house.http.get("/api/v1/runs").json()["items"]) == 2
    act(house, "pause", "one", key="k")
    act(house, "resume", "one")
    act(house, "pause", "one", key="k")
    assert "one" not in paused(house), "the repeated request does not pause again what was resumed since"


def test_a_rule_that_fails_does_not_spoil_the_others(house: DaemonInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = operator_commands.pause

    def failing(tx: Any, name: str, note: str) -> None:
        pause(tx, name, note)
        if name == "two":
            raise RuntimeError("a bug")

    monkeypatch.setattr(operator_commands, "pause", failing)
    done = act(house, "pause", "one", "two", "due")
    assert results(done) == {"one": "done", "two": "refused", "due": "done"}
    assert "a bug" in done["items"][1]["detail"]
    assert paused(house) == {"idle", "one", "due"}


@pytest.mark.parametrize(
    ("body", "at"),
    [
        pytest.param({"act": "pause", "rules": []}, "body.rules", id="no rule"),
        pytest.param({"act": "pause", "rules": [f"r{n}" for n in range(501)]}, "body.rules", id="too many"),
        pytest.param({"act": "stop", "rules": ["one"]}, "body.act", id="no such act"),
        pytest.param({"act": "pause", "rules": ["one"], "note": "\0"}, "body.note", id="a NUL"),
    ],
)
def test_what_is_not_as_described_is_refused(house: DaemonInProcess, body: dict[str, Any], at: str) -> None:
    answer = house.http.post("/api/v1/rule-acts", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"].startswith(at)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamsDaemon]:
    with teams(tmp_path_factory.mktemp("teams")) as daemon:
        yield daemon


def test_a_rule_of_another_team_does_not_exist(daemon: TeamsDaemon) -> None:
    body = {"act": "pause", "rules": ["chargeback", "uplift", "nobody"]}
    items = daemon.ask("growth", "POST", "/api/v1/rule-acts", json=body).json()["items"]
    assert [item["result"] for item in items] == ["refused", "done", "refused"]
    assert items[0]["detail"].replace("chargeback", "nobody") == items[2]["detail"]
    assert not daemon.get("all", "rules/chargeback")["paused"]
    assert daemon.ask("fraud-board", "POST", "/api/v1/rule-acts", json=body).status_code == 403
