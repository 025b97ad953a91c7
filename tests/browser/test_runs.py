"""What somebody does with runs: where one is stuck, what it wrote, what may be pressed, how it differs from others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import AXE, House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.browser.conftest import Visit

EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
RULES = """
version: 1
rules:
  - name: wide
    triggers: {each: {data: {source: push, match: {kind: wide}}}}
    submit: {workflow_template: wide, parameters: {note: EVIL}}
  - name: report
    triggers: {done: {after: {rule: wide, outcome: completed}}}
    submit: {workflow_template: train}
  - name: many
    triggers: {each: {data: {source: push, match: {kind: many}}}}
    submit: {workflow_template: many}
"""
TEMPLATES = f"""
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: wide}}
spec:
  entrypoint: main
  arguments: {{parameters: [{{name: note, value: none}}]}}
  templates:
    - name: main
      dag:
        tasks:
          - {{name: prepare, template: say, arguments: {{parameters: [{{name: word, value: ready}}]}}}}
          - {{name: train, template: fail, depends: prepare}}
          - {{name: publish, template: say, depends: train, arguments: {{parameters: [{{name: word, value: out}}]}}}}
    - name: say
      inputs: {{parameters: [{{name: word}}]}}
      container: {{image: x, command: [echo, "{{{{inputs.parameters.word}}}}"]}}
    - name: fail
      container: {{image: x, command: [python3, -c, {json.dumps(EVIL)}]}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: many}}
spec:
  entrypoint: main
  templates:
    - name: main
      steps: [[{{name: each, template: nothing, withSequence: {{count: "500"}}}}]]
    - {{name: nothing, suspend: {{duration: "0"}}}}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    (tmp_path / "templates/runs.yaml").write_text(TEMPLATES)
    (tmp_path / "rules/runs.yaml").write_text(RULES.replace("EVIL", json.dumps(EVIL)))
    assert house.http.post("/-/reload").json()["problems"] == []
    yield house
    house.close()


def failed(house: House) -> str:
    house.push("w1", kind="wide")
    house.ends("wide", "FAILED", 1)
    return house.runs("wide", "FAILED")[0]


def accessible(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})")
    return [f"{v['id']}: {v['nodes'][0]['html']}" for v in found["violations"]]


def test_the_node_that_failed_is_named_in_the_words_of_its_engine(house: House, visit: Visit) -> None:
    run = failed(house)
    visitor = visit()
    page = visitor.go(f"/runs/{run}")
    visitor.shows("train (Pod) is Failed:")
    nodes = page.get_by_role("region", name="Nodes").locator("tbody tr")
    assert [row.split()[0] for row in nodes.all_inner_texts()] == ["main", "prepare", "train", "publish"]
    assert "Omitted" in nodes.nth(3).inner_text()
    assert page.title() == "retrainer"
    assert page.locator("main img, main script").count() == 0
