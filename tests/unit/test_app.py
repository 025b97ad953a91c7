"""The whole daemon on the local engine, over its own HTTP server."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.houses.daemon import DaemonProcess
from tests.houses.daemon_in_process import SETTINGS, furnish
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: n}]}
  templates:
    - name: main
      inputs: {parameters: [{name: n}]}
      script:
        image: python:3.11
        command: [python]
        source: |
          open("/tmp/auc", "w").write("0.9{{inputs.parameters.n}}")
          print("trained on {{inputs.parameters.n}}")
      outputs: {parameters: [{name: auc, valueFrom: {path: /tmp/auc}}]}
"""
RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, id: data.id}
rules:
  - name: churn
    triggers: {new: {data: {source: push, batch: {at_least: {events: 2}}}}}
    limits: {overlap: allow_all}
    submit:
      workflow_template: train
      parameters: {n: "${window.events}"}
      outputs: {auc: {parameter: auc}}
"""


class Daemon(DaemonProcess):
    """A daemon with one rule, which looks at its files five times a second."""

    def __init__(self, folder: Path) -> None:
        furnish(folder, SETTINGS.replace("1h", "200ms"), RULES, TEMPLATE)
        super().__init__(folder)

    def rules(self, name: str, text: str) -> None:
        (self.folder / f"rules/{name}.yaml").write_text(text)

    def post(self, *ids: str) -> list[Any]:
        return [self.http.post("/hooks/push", json={"id": i}).json() for i in ids]

    def runs(self, phase: str | None = None) -> list[dict[str, Any]]:
        return [run for run in self.items("runs") if phase in (None, run["phase"])]

    def until(self, condition: Callable[[], Any]) -> Any:
        """Poll until ``condition`` holds, and return its value."""
        return until(condition, "the daemon does so", 120)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.close()


def test_events_become_a_run_that_is_followed_to_its_end(daemon: Daemon) -> None:
    daemon.start()
    daemon.post("a", "b", "b")
    (run,) = daemon.until(lambda: daemon.runs("SUCCEEDED"))
    assert run["outputs"] == {"auc": 0.92}
    assert (run["trigger"], run["reason"]) == ("new", "batch_complete")
    assert daemon.http.get(f"/api/v1/runs/{run['id']}/logs").text == "main: trained on 2\n"
    exposition = daemon.http.get("/metrics").text
    assert 'retrainer_runs_total{phase="SUCCEEDED",rule="churn"} 1.0' in exposition
    assert 'retrainer_run_output{output="auc",rule="churn"} 0.92' in exposition
    assert 'retrainer_events_duplicate_total{source="push"} 1.0' in exposition
    assert daemon.stop() == 0


def test_a_kill_loses_nothing_and_the_run_that_was_going_is_adopted(daemon: Daemon) -> None:
    slow = TEMPLATE.replace('open("/tmp/auc"', 'import time; time.sleep(2); open("/tmp/auc"')
    (daemon.folder / "templates/train.yaml").write_text(slow)
    daemon.start()
    daemon.post("a", "b", "c")
    daemon.until(lambda: daemon.runs("RUNNING"))
    daemon.kill()
    daemon.start()
    daemon.post("a", "b", "c")  # the sender does not know which events were accepted
    daemon.until(lambda: daemon.runs("SUCCEEDED"))
    assert len(daemon.runs()) == 1
    explained = daemon.http.post("/api/v1/rules/churn/explain", json={}).json()
    assert "1 of 2 events so far" in explained["verdict"]


@pytest.mark.parametrize(
    "point",
    [
        "before-commit",
        "after-commit",
        "after-acknowledge",
        "before-post",
        "after-post",
        "after-submitted",
        "before-release",
    ],
)
def test_killed_at_each_point_of_the_path_there_is_one_workflow_a_run(daemon: Daemon, point: str) -> None:
    """The folder of runs shows the result: each execution leaves a file in it."""
    # Commits one to three belong to the start; the fourth stores the first event.
    count = ":5" if point in ("before-commit", "after-commit", "after-acknowledge") else ""
    try:
        daemon.start(RETRAINER_CRASH_AT=point + count)
        daemon.post("a", "b")
    except httpx.TransportError:
        pass  # it died during our request
    assert daemon.died() == -signal.SIGKILL
    daemon.start()
    daemon.post("a", "b")
    daemon.until(lambda: daemon.runs("SUCCEEDED"))
    assert len(daemon.runs()) == 1
    assert len([p for p in (daemon.folder / "runs").glob("*/*") if p.name.startswith("churn-")]) == 1


def test_rules_are_taken_over_when_they_change_and_a_broken_file_changes_nothing(daemon: Daemon) -> None:
    daemon.start()
    names = lambda: [r["name"] for r in daemon.http.get("/api/v1/rules").json()["items"]]  # noqa: E731
    more = RULES.replace("name: churn", "name: basket").replace(
        "sources:\n  push: {type: webhook, path: /hooks/push, id: data.id}\n", ""
    )
    daemon.rules("more", more)
    daemon.until(lambda: names() == ["basket", "churn"])
    daemon.rules("more", more.replace("triggers", "trigers"))
    daemon.until(lambda: "config.problem" in daemon.said())
    assert names() == ["basket", "churn"]
    assert "trigers" in daemon.said()
    daemon.kill()
    daemon.start()
    assert names() == ["basket", "churn"]  # the last known good text came from the store


def test_a_daemon_that_cannot_start_says_why(daemon: Daemon) -> None:
    daemon.start()
    second = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from retrainer.daemon.main import main; sys.exit(main(sys.argv[1]))",
            str(daemon.folder / "retrainer.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert second.returncode == 1
    assert "another process has it open; stop that daemon first" in second.stdout + second.stderr


def test_sighup_reads_the_rules_anew(daemon: Daemon) -> None:
    (daemon.folder / "retrainer.yaml").write_text(SETTINGS.replace("200ms", "1h"))
    daemon.start()
    daemon.rules("rules", RULES.replace("name: churn", "name: basket"))
    daemon.send(signal.SIGHUP)
    daemon.until(lambda: [r["name"] for r in daemon.http.get("/api/v1/rules").json()["items"]] == ["basket"])
    assert daemon.stop() == 0
