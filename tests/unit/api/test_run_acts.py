"""Runs of a real daemon: the chain around one, and what may be done with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
rules:
  - {name: first, triggers: {each: {schedule: {cron: "0 0 1 1 *"}}}, submit: {workflow_template: train}}
  - {name: second, triggers: {done: {after: {rule: first, outcome: succeeded}}}, submit: {workflow_template: fail}}
  - {name: third, triggers: {done: {after: {rule: second, outcome: failed}}}, submit: {workflow_template: train}}
  - {name: never, triggers: {done: {after: {rule: second, outcome: promoted}}}, submit: {workflow_template: train}}
  - name: slow
    triggers: {each: {schedule: {cron: "0 0 1 1 *"}}}
    submit: {workflow_template: wait}
    limits: {pool: one}
pools: {one: 1}
"""
TEMPLATES = (
    template("train", "true")
    + template("fail", "false")
    + """---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: wait}
spec: {entrypoint: main, templates: [{name: main, suspend: {duration: "600"}}]}
"""
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    house = DaemonInProcess(tmp_path, RULES, TEMPLATES)
    yield house
    house.close()


def triggered(house: DaemonInProcess, rule: str) -> str:
    answer = house.http.post(f"/api/v1/rules/{rule}/trigger", json={})
    return str(answer.raise_for_status().json()["run"]["id"])


def in_phase(house: DaemonInProcess, rule: str, phase: str) -> dict[str, Any]:
    def look() -> Any:
        return house.http.get("/api/v1/runs", params={"rule": rule, "phase": phase}).json()["items"]

    run: dict[str, Any] = until(look, f"a run of {rule} is {phase}")[0]
    return run


def chain(house: DaemonInProcess, run: str) -> list[tuple[str, int, str, bool]]:
    rows = house.http.get(f"/api/v1/runs/{run}/chain").json()["runs"]
    return [(row["relation"], row["depth"], row["rule"], row["id"] is not None) for row in rows]


def test_the_chain_has_what_a_run_follows_its_attempts_and_what_follows(house: DaemonInProcess) -> None:
    first = triggered(house, "first")
    in_phase(house, "third", "SUCCEEDED")
    second = in_phase(house, "second", "FAILED")["id"]
    assert chain(house, first) == [
        ("this", 0, "first", True),
        ("downstream", 1, "second", True),
        ("downstream", 2, "never", False),
        ("downstream", 2, "third", True),
    ]
    retried = house.http.post(f"/api/v1/runs/{second}/retry").json()["id"]
    until(lambda: house.http.get(f"/api/v1/runs/{retried}").json()["phase"] == "FAILED", "the retry fails")
    until(lambda: len(chain(house, second)) == 6, "the rule that follows runs again")
    assert chain(house, second) == [
        ("upstream", 0, "first", True),
        ("this", 1, "second", True),
        ("attempt", 1, "second", True),
        ("downstream", 2, "never", False),
        ("downstream", 2, "third", True),
        ("downstream", 2, "third", True),
    ]


def test_a_retry_is_tried_first_and_done_once(house: DaemonInProcess) -> None:
    triggered(house, "first")
    failed = in_phase(house, "second", "FAILED")["id"]
    dry = house.http.post(f"/api/v1/runs/{failed}/retry", json={"dry_run": True}).json()
    assert (dry["attempt"], dry["retry_of"], dry["phase"]) == (2, failed, "PENDING")
    assert dry["waits"]["reason"] == "admission"
    assert house.http.get(f"/api/v1/runs/{dry['id']}").status_code == 404
    twice = [
        house.http.post(f"/api/v1/runs/{failed}/retry", headers={"Idempotency-Key": "a"}).json()["id"] for _ in range(2)
    ]
    assert twice[0] == twice[1] != dry["id"]


def test_a_run_says_which_acts_would_be_refused_and_why(house: DaemonInProcess) -> None:
    triggered(house, "first")
    failed = in_phase(house, "second", "FAILED")["id"]
    for run, possible in ((failed, ["retry"]), (in_phase(house, "first", "SUCCEEDED")["id"], ["feedback"])):
        acts = house.http.get(f"/api/v1/runs/{run}").json()["acts"]
        assert [act for act, why in acts.items() if not why] == possible
        for act, why in acts.items():
            body = {"promoted": True} if act == "feedback" else {}
            answer = house.http.post(f"/api/v1/runs/{run}/{act}", json=body)
            assert answer.is_success == (not why)
            assert not why or answer.json()["detail"] == why


def test_a_retry_that_would_wait_says_for_what(house: DaemonInProcess) -> None:
    first = triggered(house, "slow")
    in_phase(house, "slow", "RUNNING")
    house.http.post(f"/api/v1/runs/{first}/cancel", json={"strategy": "Terminate"}).raise_for_status()
    in_phase(house, "slow", "CANCELLED")
    triggered(house, "slow")
    in_phase(house, "slow", "RUNNING")
    dry = house.http.post(f"/api/v1/runs/{first}/retry", json={"dry_run": True}).json()
    assert (dry["waits"]["reason"], dry["waits"]["detail"]) == ("pool", "the only slot of pool one is taken")
