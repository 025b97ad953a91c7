"""The output of steps of the local engine, read from the folders of real runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from retrainer.workflows.base import OUTPUT_LIMIT, NoOutput, OutputQuery, StepOutput
from retrainer.workflows.local.log import LOG_LIMIT
from tests.unit.workflows.local_kit import SHELL, ended, engine_at, running, workflow
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.workflows.local.engine import LocalEngine

TWO_STEPS = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: shell}
spec:
  entrypoint: all
  arguments: {parameters: [{name: code}]}
  templates:
    - name: all
      dag:
        tasks:
          - {name: train, template: say, depends: prepare, arguments: {parameters: [{name: word, value: trained}]}}
          - {name: prepare, template: say, arguments: {parameters: [{name: word, value: prepared}]}}
    - name: say
      inputs: {parameters: [{name: word}]}
      container: {image: alpine, command: [sh, -c], args: ["echo {{inputs.parameters.word}}; echo >&2 done"]}
"""


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/shell.yaml").write_text(SHELL)
    return engine_at(tmp_path)


def output(engine: LocalEngine, tail: int = 1000, step: str = "") -> list[StepOutput]:
    return list(engine.outputs("ml", "w1", OutputQuery(tail, step)))


def test_each_step_is_read_in_the_order_of_its_end(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "templates/shell.yaml").write_text(TWO_STEPS)
    engine.create(workflow(), timeout=10)
    ended(engine)
    assert output(engine) == [StepOutput("prepare", b"prepared\ndone"), StepOutput("train", b"trained\ndone")]
    assert output(engine, step="train") == [StepOutput("train", b"trained\ndone")]
    with pytest.raises(NoOutput, match="has no step 'tran'; it has prepare, train"):
        output(engine, step="tran")


def test_the_output_of_a_running_step_is_read_so_far(engine: LocalEngine) -> None:
    engine.create(workflow("echo begun; sleep 30"), timeout=10)
    running(engine)
    until(lambda: _so_far(engine) == [StepOutput("main", b"begun")], "it writes")
    engine.stop("ml", "w1", "Terminate")
    ended(engine)


def _so_far(engine: LocalEngine) -> list[StepOutput]:
    try:
        return output(engine)
    except NoOutput:  # the step has not started yet
        return []


@pytest.mark.parametrize(
    ("tail", "text", "left_out"),
    [
        pytest.param(3, b"1\n2\n3", False, id="all lines"),
        pytest.param(2, b"2\n3", True, id="the last lines"),
    ],
)
def test_the_last_lines_are_read(engine: LocalEngine, tail: int, text: bytes, left_out: bool) -> None:
    engine.create(workflow("seq 3"), timeout=10)
    ended(engine)
    assert output(engine, tail) == [StepOutput("main", text, left_out)]


def test_a_long_log_is_read_from_a_whole_line_to_its_end(engine: LocalEngine) -> None:
    lines = LOG_LIMIT // 100 + 1000
    engine.create(workflow(f"yes {'x' * 99} | head -n {lines}; echo end"), timeout=10)
    ended(engine)
    (step,) = output(engine, 100_000)
    assert step.left_out
    assert OUTPUT_LIMIT - 200 < len(step.text) <= OUTPUT_LIMIT
    assert set(step.text.split(b"\n")) == {b"x" * 99, b"end"}, "the line about log.1 is not output of the step"


def test_what_a_step_put_in_place_of_its_log_is_not_read(engine: LocalEngine, tmp_path: Path) -> None:
    engine.create(workflow("echo secret"), timeout=10)
    ended(engine)
    folder = tmp_path / "runs/ml/w1/tasks"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/log").write_text("not of a step")
    (folder / "linked").symlink_to(tmp_path / "other")
    (folder / "main/log").unlink()
    os.mkfifo(folder / "main/log")
    assert output(engine) == [StepOutput("main", b"")]


def test_a_run_whose_folder_was_removed_has_no_output(engine: LocalEngine) -> None:
    with pytest.raises(NoOutput, match=r"there is no folder .*w1: the folders of the last 200 ended runs are kept"):
        output(engine)
