"""Graphs of the local engine that are stopped, exceed their time, or lose their runner."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from retrainer.workflows.base import OutputQuery
from tests.unit.workflows.graph_kit import nodes, phases, start, trace
from tests.unit.workflows.local_kit import ended, engine_at, is_alive
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.workflows.base import Strategy

SLOW = """
onExit: last
{more}
templates:
- name: main
  steps:
  - - {name: long, template: long, onExit: tidy}
    - {name: pause, template: pause}
  - [{name: after, template: say}]
- {name: long, retryStrategy: {limit: 3}, container: {command: [sh, -c], args: ["echo begun >> trace; exec sleep 60"]}}
- {name: pause, suspend: {duration: 1h}}
- {name: tidy, container: {command: [sh, -c], args: ["echo tidy >> trace"]}}
- {name: last, container: {command: [sh, -c], args: ["echo last {{workflow.status}} >> trace"]}}
"""


def slow(more: str = "") -> str:
    return SLOW.replace("{more}", more)


@pytest.mark.parametrize(
    ("strategy", "lines"),
    [
        pytest.param("Stop", ["begun", "tidy", "last Failed"], id="stop-runs-exit-handlers"),
        pytest.param("Terminate", ["begun"], id="terminate-runs-nothing-more"),
    ],
)
def test_a_stopped_run(tmp_path: Path, strategy: Strategy, lines: list[str]) -> None:
    engine = start(tmp_path, slow())
    until(lambda: trace(tmp_path), "the step runs")
    engine.stop("ml", "w1", strategy)
    end = ended(engine)
    assert (end.phase, end.message, end.stopped) == ("Failed", f"Stopped with strategy '{strategy}'", True)
    assert trace(tmp_path) == lines
    assert phases(tmp_path)["long(0)"] == phases(tmp_path)["pause"] == phases(tmp_path)["main"] == "Failed"
    assert not phases(tmp_path).keys() & {"long(1)", "after"}


def test_a_run_that_exceeds_its_deadline_runs_its_exit_handler(tmp_path: Path) -> None:
    end = ended(start(tmp_path, slow("activeDeadlineSeconds: 1")))
    assert (end.phase, end.message) == ("Failed", "took longer than its activeDeadlineSeconds of 1 s")
    assert trace(tmp_path)[-1] == "last Failed"


def test_a_killed_runner_starts_nothing_more(tmp_path: Path) -> None:
    start(tmp_path, slow())
    until(lambda: trace(tmp_path) and (tmp_path / "runs/ml/w1/nodes.json").exists(), "the step runs")
    until(lambda: "long(0)" in nodes(tmp_path), "its node is written down")
    runner = json.loads((tmp_path / "runs/ml/w1/started.json").read_text())["pid"]
    os.kill(runner, signal.SIGKILL)
    until(lambda: not is_alive(runner), "it is dead")
    end = ended(engine_at(tmp_path))
    assert end.phase == "Error"
    assert end.message.startswith(f"the runner (process {runner}) died before it recorded the result of the run")
    assert trace(tmp_path) == ["begun"]
    assert nodes(tmp_path)["long(0)"]["phase"] == "Running"
    again = engine_at(tmp_path)
    assert ended(again) == end
    assert trace(tmp_path) == ["begun"]


def test_damaged_nodes_do_not_hide_a_run(tmp_path: Path) -> None:
    engine = start(tmp_path, "[{name: main, steps: [[{name: a, template: say}]]}]")
    assert ended(engine).phase == "Succeeded"
    for text in ("{", "[]", '{"nodes": 3}', '{"nodes": [3, {"folder": ["x"]}]}'):
        (tmp_path / "runs/ml/w1/nodes.json").write_text(text)
        assert ended(engine).phase == "Succeeded"
        assert [one.step for one in engine.outputs("ml", "w1", OutputQuery(10, "a"))] == ["a"]
