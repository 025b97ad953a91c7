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
LINKS = """
links:
  Logs: "https://logs.example.com/?w={workflow}"
  Dashboard: "https://grafana.example.com/?rule={rule}&key={key}"
"""
RULES = """
version: 1
rules:
  - name: wide
    triggers: {each: {data: {source: push, match: {kind: wide}}}}
    submit: {workflow_template: wide, parameters: {note: EVIL}}
  - name: report
    triggers: {done: {after: {rule: wide, outcome: completed}}}
    submit: {workflow_template: report, outputs: {said: {parameter: said, type: string}}}
  - name: slow
    triggers: {each: {data: {source: push, match: {kind: slow}}}}
    submit: {workflow_template: slow}
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
          - name: odd
            template: say
            withItems: [{json.dumps(EVIL)}]
            arguments: {{parameters: [{{name: word, value: x}}]}}
          - {{name: publish, template: say, depends: train, arguments: {{parameters: [{{name: word, value: out}}]}}}}
    - name: say
      inputs: {{parameters: [{{name: word}}]}}
      container: {{image: x, command: [echo, "{{{{inputs.parameters.word}}}}"]}}
    - name: fail
      container: {{image: x, command: [sh, -c, 'echo "$0"; exit 3', {json.dumps(EVIL)}]}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: slow}}
spec:
  entrypoint: main
  templates:
    - name: main
      container: {{image: x, command: [sh, -c, "while :; do echo tick $((i+=1)); sleep 0.2; done"]}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: report}}
spec:
  entrypoint: main
  templates:
    - name: main
      container: {{image: x, command: [sh, -c, 'mkdir -p /tmp/o; echo "$0" > /tmp/o/said', {json.dumps(EVIL)}]}}
      outputs: {{parameters: [{{name: said, valueFrom: {{path: /tmp/o/said}}}}]}}
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
    house = House(tmp_path, LINKS)
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
    rows = {row.split()[0]: row for row in nodes.all_inner_texts()}
    assert rows.keys() == {"main", "prepare", "odd(0:<img", "train", "publish"}
    assert "Omitted" in rows["publish"]
    assert f"exit code 3: {EVIL}" in rows["train"]
    assert page.title() == "retrainer"
    assert page.locator("main img, main script").count() == 0


def test_what_a_workflow_leaves_is_text(house: House, visit: Visit) -> None:
    failed(house)
    house.ends("report", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go(f"/runs/{house.runs('report', 'SUCCEEDED')[0]}?tab=outputs")
    page.get_by_role("tabpanel").get_by_text(EVIL).wait_for()
    assert page.title() == "retrainer"
    assert page.locator("main img, main script").count() == 0


def test_a_run_is_retried_after_its_dry_run_and_its_chain_has_all(house: House, visit: Visit) -> None:
    run = failed(house)
    house.ends("report", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go(f"/runs/{run}?tab=chain")
    chain = page.get_by_role("region", name="Runs of the chain").locator("tbody tr")
    chain.nth(1).wait_for()
    assert [row.split()[0] for row in chain.all_inner_texts()] == ["wide", "report"]
    assert "this one" in chain.nth(0).inner_text()
    assert page.get_by_role("button", name="Cancel …").count() == 0
    assert page.get_by_role("button", name="Promote …").count() == 0
    page.get_by_text("What cannot be done, and why").click()
    visitor.shows("only a run that succeeded has made a model")
    page.get_by_role("button", name="Retry …").click()
    visitor.shows("Attempt 2: admitted next")
    assert len(house.runs("wide", "FAILED")) == 1
    page.get_by_role("dialog").get_by_role("button", name="Start another attempt").click()
    page.get_by_role("link", name="Show it").click()
    visitor.shows("retry of")
    house.ends("wide", "FAILED", 2)


def test_a_running_run_is_followed_and_cancelled(house: House, visit: Visit) -> None:
    house.push("s1", kind="slow")
    house.ends("slow", "RUNNING", 1)
    visitor = visit()
    page = visitor.go(f"/runs/{house.runs('slow', 'RUNNING')[0]}?tab=logs")
    visitor.shows("main: tick")
    shown = page.get_by_label("What the steps wrote").inner_text().split()[-1]
    visitor.shows(f"main: tick {int(shown) + 10}")
    page.get_by_role("button", name="Cancel …").click()
    visitor.shows("It has run for")
    page.get_by_role("dialog").get_by_label("How").select_option("Terminate")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    visitor.shows("The end is requested.")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_text("CANCELLED").first.wait_for()


def test_a_promotion_is_reported(house: House, visit: Visit) -> None:
    for number in range(3):
        house.push(f"f{number}", kind="file")
    house.ends("churn", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go(f"/runs/{house.runs('churn', 'SUCCEEDED')[0]}")
    page.get_by_role("button", name="Promote …").click()
    visitor.shows("Nothing is reported yet.")
    page.get_by_role("dialog").get_by_role("button", name="Report what became of the model").click()
    visitor.shows("The model counts as promoted.")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.locator(".station.good", has_text="Promotion").wait_for()


def test_who_only_reads_has_no_buttons(house: House, visit: Visit) -> None:
    run = failed(house)
    visitor = visit("board")
    page = visitor.go(f"/runs/{run}")
    visitor.shows("train (Pod) is Failed:")
    assert page.get_by_role("button", name="Retry …").count() == 0


def test_runs_and_rules_lead_to_the_pages_of_the_settings(house: House, visit: Visit) -> None:
    run = failed(house)
    visitor = visit()
    page = visitor.go(f"/runs/{run}")
    link = page.get_by_role("link", name="Logs")
    workflow = house.http.get(f"/api/v1/runs/{run}").json()["workflow"]
    assert link.get_attribute("href") == f"https://logs.example.com/?w={workflow}"
    assert link.get_attribute("rel") == "noopener noreferrer"
    visitor.go("/rules/wide")
    page.get_by_role("link", name="Dashboard").wait_for()
    assert page.get_by_role("link", name="Logs").count() == 0


def test_runs_are_filtered_by_the_address_selected_and_compared(house: House, visit: Visit) -> None:
    first = failed(house)
    house.http.post("/api/v1/rules/wide/trigger", json={"parameters": {"note": "other"}}).raise_for_status()
    house.ends("wide", "FAILED", 2)
    house.ends("report", "SUCCEEDED", 2)
    visitor = visit()
    page = visitor.go("/runs?rule=wide")
    rows = page.get_by_role("region", name="Runs").locator("tbody tr")
    rows.nth(1).wait_for()
    assert rows.count() == 2
    page.get_by_label("Trigger (or manual)").fill("manual")
    page.keyboard.press("Enter")
    visitor.shows("1 run")
    assert "trigger=manual" in page.url
    page.get_by_label("Trigger (or manual)").fill("")
    page.keyboard.press("Enter")
    rows.nth(1).wait_for()
    for box in page.get_by_role("checkbox").all():
        box.check()
    page.get_by_role("link", name="Compare 2 runs").click()
    comparison = page.get_by_role("region", name="Comparison")
    comparison.get_by_role("row", name="≠ differs note").wait_for()
    assert EVIL in comparison.inner_text()
    assert first[-6:] in comparison.inner_text()
    assert comparison.get_by_role("row", name="= same Rule").count() == 0
    page.get_by_label("Show what is the same, too").check()
    comparison.get_by_role("row", name="= same Rule").wait_for()
    assert page.title() == "retrainer"
    assert page.locator("main img, main script").count() == 0


def test_what_has_not_ended_is_shown_first_if_wanted(house: House, visit: Visit) -> None:
    house.push("s1", kind="slow")
    house.ends("slow", "RUNNING", 1)
    failed(house)
    visitor = visit()
    page = visitor.go("/runs")
    page.get_by_label("Order").select_option("not ended first")
    tables = page.get_by_role("region", name="Runs")
    tables.nth(1).wait_for()
    assert "slow" in tables.nth(0).inner_text()
    assert "slow" not in tables.nth(1).inner_text()
    assert "order=running" in page.url


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param("/runs/compare", "Two to 6 runs can be compared; the address names 0.", id="none"),
        pytest.param("/runs/compare?" + "&".join(f"run={n}" for n in range(7)), "names 7.", id="too many"),
    ],
)
def test_an_address_that_cannot_be_compared_says_why(visit: Visit, address: str, words: str) -> None:
    visitor = visit()
    visitor.go(address)
    visitor.shows(words)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_screens_of_runs_are_accessible_and_fit_a_phone(house: House, visit: Visit, theme: str) -> None:
    run = failed(house)
    house.ends("report", "SUCCEEDED", 1)
    other = house.runs("report", "SUCCEEDED")[0]
    house.http.post("/api/v1/rules/churn/trigger", json={}).raise_for_status()
    house.ends("churn", "SUCCEEDED", 1)
    visitor = visit(width=320, theme=theme)
    for screen in (
        "/runs",
        "/runs?order=running",
        f"/runs/{run}",
        f"/runs/{run}?tab=logs",
        f"/runs/{run}?tab=chain",
        f"/runs/{run}?tab=parameters",
        f"/runs/compare?run={run}&run={other}&run={house.runs('churn', 'SUCCEEDED')[0]}&all=1",
    ):
        page = visitor.go(screen)
        page.locator("main h1").first.wait_for()
        page.get_by_text("Loading").first.wait_for(state="detached")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, f"{screen} scrolls sideways"
        assert (screen, accessible(page)) == (screen, [])


def test_a_workflow_of_500_nodes_is_bounded_and_says_so(house: House, visit: Visit) -> None:
    house.push("m1", kind="many")
    house.ends("many", "SUCCEEDED", 1)
    visitor = visit()
    page = visitor.go("/runs")
    visitor.shows("many")
    page.get_by_role("link", name=house.runs("many", "SUCCEEDED")[0][-6:]).first.click()
    visitor.shows("401 of 501 nodes are left out")
    assert page.locator("main tbody tr").count() <= 200
