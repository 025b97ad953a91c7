"""A backfill of a whole daemon on the local engine that is killed meanwhile: each slot has one run and one Workflow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.unit.test_app import Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: day}]}
  templates:
    - name: main
      inputs: {parameters: [{name: day}]}
      script: {image: "python:3.11", command: [python], source: "print('{{inputs.parameters.day}}')"}
"""
RULES = """
version: 1
rules:
  - name: churn
    triggers: {yearly: {schedule: {cron: "0 0 1 1 *"}}}
    submit: {workflow_template: train, parameters: {day: "${trigger.scheduled_at}"}}
"""
YEARS = ["2001", "2002", "2003"]
WANTED = {"from": "2001-01-01", "to": "2004-01-01"}


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    (tmp_path / "templates/train.yaml").write_text(TEMPLATE)
    made.rules("rules", RULES)
    yield made
    made.close()


def ask(daemon: Daemon) -> dict[str, Any]:
    answer = daemon.http.post("/api/v1/rules/churn/backfills", json=WANTED, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ended(daemon: Daemon) -> dict[str, Any]:
    def look() -> Any:
        told = daemon.http.get("/api/v1/rules/churn/backfills").json()
        return told if told["ended"] else None

    told: dict[str, Any] = until(look, "the backfill has come that far", 120)
    return told


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("before-commit:4", id="before it is stored"),
        pytest.param("after-commit:4", id="stored, but not answered"),
        pytest.param("after-post:2", id="between the second Workflow and its answer"),
        pytest.param("after-submitted:2", id="while the second one runs"),
        pytest.param("before-release:2", id="as the second one has ended"),
    ],
)
def test_killed_in_the_middle_it_goes_on_and_no_slot_runs_twice(daemon: Daemon, point: str) -> None:
    try:
        daemon.start(RETRAINER_CRASH_AT=point)
        ask(daemon)
    except httpx.TransportError:
        pass  # it died during our request
    assert daemon.died() == -signal.SIGKILL
    daemon.start()
    ask(daemon)  # the client does not know whether it was accepted
    assert ended(daemon)["succeeded"] == 3
    assert sorted(run["parameters"]["day"][:4] for run in daemon.runs()) == YEARS
    assert len([p for p in (daemon.folder / "runs").glob("*/*") if p.name.startswith("churn-")]) == 3
    slots = daemon.http.get("/api/v1/slots", params={"rule": "churn"}).json()["items"]
    assert sorted((slot["slot"][:4], slot["outcome"], slot["reason"]) for slot in slots) == [
        (year, "fired", "backfill") for year in YEARS
    ]


def test_the_command_line_follows_it_to_its_end(daemon: Daemon) -> None:
    daemon.start()
    command = [sys.executable, "-m", "retrainer.cli.main", "backfill", "churn", "--from", "2001-01-01"]
    done = subprocess.run(
        [*command, "--to", "2004-01-01", "--yes", "--follow"],
        env={**os.environ, "RETRAINER_URL": str(daemon.http.base_url)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "3 slots: 3 succeeded" in done.stdout
