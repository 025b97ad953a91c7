"""A browser, and a daemon with tokens whose rules fire, fail, wait and nearly match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from tests.houses.browser import AXE, ROOT, Visit, Visitor, browser, visits
from tests.houses.daemon_in_process import SETTINGS, DaemonInProcess, template
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

__all__ = ["AXE", "ROOT", "House", "Visit", "Visitor", "browser"]

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
TEMPLATES = template("train", "echo", "trained") + template("fail", "sh", "-c", "echo no data; exit 3")
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

    def break_fraud(self) -> None:
        """Let two runs fail, which opens the circuit breaker of `fraud`."""
        for number in range(2):
            self.push(f"p{number}", kind="payment")
            self.ends("fraud", "FAILED", number + 1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Visit]:
    yield from visits(browser, house.app.web.url)
