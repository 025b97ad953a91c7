"""The nodes of local runs, from the folders of real runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.workflows.local_kit import ended, engine_at, workflow

if TYPE_CHECKING:
    from pathlib import Path

NESTED = """
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
          - {name: prepare, template: inner}
          - {name: train, template: fail, depends: prepare}
    - name: inner
      steps: [[{name: each, template: ok, withItems: [a.b, c]}]]
    - {name: ok, container: {image: alpine, command: ["true"]}}
    - {name: fail, container: {image: alpine, command: [sh, -c, "echo no rows; exit 3"]}}
"""


def test_nodes_are_below_what_contains_them_and_have_their_exit_code(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/shell.yaml").write_text(NESTED)
    engine = engine_at(tmp_path)
    engine.create(workflow(), timeout=10)
    ended(engine)
    found = engine.nodes("ml", "w1")
    assert found is not None
    names = {node.id: node.name for node in found.nodes}
    assert {node.name: names.get(node.parent, "") for node in found.nodes} == {
        "all": "",
        "prepare": "all",
        "prepare.each(0:a.b)": "prepare",
        "prepare.each(1:c)": "prepare",
        "train": "all",
    }
    train = next(node for node in found.nodes if node.name == "train")
    assert (train.kind, train.phase, train.exit_code, train.template) == ("Pod", "Failed", "3", "fail")
    assert "no rows" in train.message
    assert engine.nodes("ml", "w2") is None


@pytest.mark.parametrize("text", ["[]", '{"nodes": 3}', '{"nodes": [1, {"name": 2, "started": "x"}]}', "{"])
def test_what_a_step_wrote_over_the_nodes_is_no_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/shell.yaml").write_text(NESTED)
    engine = engine_at(tmp_path)
    engine.create(workflow(), timeout=10)
    ended(engine)
    (tmp_path / "runs/ml/w1/nodes.json").write_text(text)
    found = engine.nodes("ml", "w1")
    assert found is not None
    assert found.workflow.phase == "Failed"
