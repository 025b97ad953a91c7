"""A pipeline that reports its outputs to its own rule's source, on a whole daemon with real processes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.test_app import Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: announce}
spec:
  entrypoint: main
  arguments: {parameters: [{name: run}, {name: url}]}
  templates:
    - name: main
      inputs: {parameters: [{name: run}, {name: url}]}
      script:
        image: python:3.11
        command: [python]
        source: |
          import json, urllib.request
          run = "{{inputs.parameters.run}}"
          headers = {"Content-Type": "application/json", "Retrainer-Run": run}
          made = json.dumps({"id": f"made-by-{run}"}).encode()
          urllib.request.urlopen(urllib.request.Request("{{inputs.parameters.url}}/hooks/push", made, headers))
"""
RULE = """
version: 1
rules:
  - name: circle
    triggers: {new: {data: {source: push}}}
    submit: {workflow_template: announce, parameters: {run: "${run.id}", url: "%s"}}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    (tmp_path / "templates/announce.yaml").write_text(TEMPLATE)
    daemon.start()
    yield daemon
    daemon.stop()
    daemon.close()


def test_a_pipeline_that_announces_its_output_to_its_own_rule_runs_once(daemon: Daemon) -> None:
    daemon.rules("circle", RULE % str(daemon.http.base_url).rstrip("/"))
    until(
        lambda: any(r["name"] == "circle" for r in daemon.http.get("/api/v1/rules").json()["items"]),
        "the rule is loaded",
        120,
    )
    daemon.post("day-1")
    (run,) = until(lambda: runs(daemon, "SUCCEEDED"), "its run has succeeded", 120)
    found = daemon.http.get("/api/v1/events/find", params={"text": f"made-by-{run['id']}"}).json()["items"]
    (effect,) = [e for e in found[0]["effects"] if e["rule"] == "circle"]
    assert (effect["outcome"], effect["detail"]) == (
        "missed",
        f"new: its own output: written by run {run['id']} of this rule",
    )
    assert [r["id"] for r in runs(daemon)] == [run["id"]]
    another = {"source": "push", "data": {"id": "x"}, "attributes": {"retrainerrun": run["id"]}}
    (judged,) = daemon.http.post("/api/v1/rules/circle/explain", json={"event": another}).json()["event"]
    assert judged["matches"] is False
    assert judged["conditions"][-1]["said"] == f"written by run {run['id']} of this rule"
    assert 'retrainer_own_outputs_total{rule="circle"} 1.0' in daemon.http.get("/metrics").text


def runs(daemon: Daemon, *phases: str) -> list[dict[str, Any]]:
    return [run for run in daemon.runs() if run["rule"] == "circle" and (not phases or run["phase"] in phases)]
