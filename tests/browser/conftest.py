"""A browser, and a daemon with tokens whose rules fire, fail, wait and nearly match."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from playwright.sync_api import sync_playwright

from tests.houses.daemon_in_process import SETTINGS, DaemonInProcess
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

    Visit = Callable[..., "Visitor"]

ROOT = Path(__file__).parents[2]
AXE = ROOT / "ui/node_modules/axe-core/axe.min.js"
RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, format: cloudevents}
rules:
  - name: churn
    description: Who will leave?
    labels: {team: growth}
    triggers:
      files: {data: {source: push, match: {kind: file}, batch: {at_least: {events: 3}}}}
      drift: {metric: {source: push, match: {kind: psi}, above: 0.2, clear: 0.1}}
    submit: {workflow_template: train}
  - name: fraud
    triggers: {each: {data: {source: push, match: {kind: payment}}}}
    limits: {pause_after_failures: 2}
    submit: {workflow_template: fail}
"""
TEMPLATES = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec: {entrypoint: main, templates: [{name: main, container: {image: x, command: [echo, trained]}}]}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: fail}
spec: {entrypoint: main, templates: [{name: main, container: {image: x, command: [sh, -c, "echo no data; exit 3"]}}]}
"""
TOKENS = """
http:
  port: 0
  tokens:
    - {name: ops, token: {from_file: FOLDER/ops}, verbs: [read, act, administer], namespaces: all}
    - {name: board, token: {from_file: FOLDER/board}, namespaces: all}
"""


class House(DaemonInProcess):
    """A daemon whose tokens are `ops` and `board`, as their names."""

    def __init__(self, folder: Path, more_settings: str = "", rules: str = RULES) -> None:
        for name in ("ops", "board"):
            (folder / name).write_text(name)
        tokens = TOKENS.replace("FOLDER", str(folder))
        super().__init__(folder, rules, TEMPLATES, SETTINGS.replace("http: {port: 0}\n", tokens) + more_settings)
        self.http.headers["authorization"] = "Bearer ops"

    def push(self, identity: str, subject: str = "", **data: object) -> None:
        """Send a CloudEvent."""
        event = {"specversion": "1.0", "id": identity, "source": "tests", "type": "test", "data": data}
        event |= {"subject": subject} if subject else {}
        headers = {"content-type": "application/cloudevents+json"}
        self.http.post("/hooks/push", content=orjson.dumps(event), headers=headers).raise_for_status()

    def runs(self, rule: str, phase: str) -> list[str]:
        answer = self.http.get("/api/v1/runs", params={"rule": rule, "phase": phase})
        return [run["id"] for run in answer.json()["items"]]

    def ends(self, rule: str, phase: str, count: int) -> None:
        until(lambda: len(self.runs(rule, phase)) >= count, f"{count} runs of {rule} are {phase}")


class Visitor:
    """A page of somebody who is signed in. `close` fails if the console had an error or the policy was violated."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context, self.url = context, url
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def sign_in(self, token: str) -> Visitor:
        self.go("/")
        self.page.get_by_label("Token").fill(token)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()
        return self

    def go(self, path: str) -> Page:
        self.page.goto(f"{self.url}/ui{path}")
        return self.page

    def shows(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=15_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert program is not None, "no browser: install Debian's chromium, or set CHROMIUM to one"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Visit]:
    visitors: list[Visitor] = []

    def visit(token: str = "ops", *, width: int = 1200, theme: str = "light") -> Visitor:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=theme)  # type: ignore[arg-type]
        visitor = Visitor(context, house.app.web.url)
        visitors.append(visitor)
        return visitor.sign_in(token)

    yield visit
    errors = [error for visitor in visitors for error in visitor.errors]
    for visitor in visitors:
        visitor.context.close()
    assert errors == []
