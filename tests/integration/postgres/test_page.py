"""The page on replicas that share a store: what a standby shows, and how it goes on after the leader was killed."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api.app import openapi
from tests.houses.browser import Visit, browser, visits
from tests.integration.postgres.pair import Pair, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.integration.postgres.server import Postgres
    from tests.integration.s3.daemon import Daemon

__all__ = ["browser"]
SOON = 5.0
"""Seconds: less than the silence after which a stream shows that it is alive, or than a stop may take."""
RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
calendars: {}
rules:
  - name: churn
    labels: {team: growth}
    triggers:
      files: {data: {source: push, match: {kind: file}, batch: {at_least: {events: 3}}}}
      drift: {metric: {source: push, match: {kind: psi}, above: 0.2, clear: 0.1}}
      yearly: {schedule: {cron: "0 0 1 1 *"}}
    limits: {overlap: allow_all, max_active: 10}
    submit: {workflow_template: train}
"""


class House(Pair):
    """Two daemons with the token `ops`."""

    def __init__(self, postgres: Postgres, database: str, folder: Path) -> None:
        super().__init__(postgres, database, folder)
        for daemon in self.daemons:
            settings = json.loads(daemon.settings.read_text())
            ops = {"name": "ops", "token": {"from_env": "OPS"}, "verbs": ["read", "act", "administer"]}
            settings["http"]["tokens"] = [ops | {"namespaces": "all"}]
            daemon.settings.write_text(json.dumps(settings))
            (daemon.folder / "rules.yaml").write_text(RULES)

    def start(self) -> Iterator[House]:
        for _ in started(self):
            for daemon in self.daemons:
                daemon.http.headers["authorization"] = "Bearer ops-of-test"
            yield self

    def push(self, identity: str, daemon: Daemon, **data: object) -> None:
        headers = {"Idempotency-Key": identity}
        daemon.http.post("/hooks/push", json=data, headers=headers).raise_for_status()


@pytest.fixture
def house(postgres: Postgres, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv("OPS", "ops-of-test")
    yield from House(postgres, database, tmp_path).start()


@pytest.fixture
def visit(browser: Browser, house: House) -> Iterator[Visit]:
    yield from visits(browser, house.daemons[1].url)


def test_two_tabs_at_a_standby_outlive_the_leader(house: House, visit: Visit) -> None:
    leader, standby = house.daemons
    visitor = visit("ops-of-test")
    page = visitor.go("/rules/churn")
    visitor.shows("Why, now")
    visitor.shows("live")
    second = visitor.context.new_page()
    second.goto(f"{visitor.url}/ui/")
    second.get_by_text("This replica is a standby; another one decides").wait_for()
    house.push("f0", leader, kind="file")
    page.bring_to_front()
    visitor.shows("1 of 3 events")
    with house.postgres.connect(house.database) as conn, conn.transaction():
        conn.execute("SELECT 1 FROM leader FOR UPDATE")  # nobody takes over meanwhile
        leader.stop(signal.SIGKILL)
        page.get_by_role("button", name="Pause …").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("button", name="Pause the rule").click()
        visitor.shows("the leader does not answer")
        visitor.shows("It is sent again every 5 s")
        page.get_by_text("No replica decides").wait_for()
        second.bring_to_front()
        second.get_by_text("No replica decides: this one is a standby").wait_for()
    second.get_by_text("This replica decides").wait_for(timeout=60_000)
    page.bring_to_front()
    dialog.get_by_text("The rule is paused.").wait_for(timeout=60_000)
    page.get_by_text("No replica decides").wait_for(state="detached")
    assert [(act["by"], act["result"]) for act in standby.items("activity", act="pause")] == [("ops", "done")]
    dialog.get_by_role("button", name="Close").click()
    house.push("f1", standby, kind="file")
    visitor.shows("2 of 3 events")
    refused = [error for error in visitor.errors if "status of 503" in error]
    assert refused, "the console has the refused acts"
    visitor.errors = [error for error in visitor.errors if error not in refused]


def test_streams_end_at_once_when_a_replica_stops(house: House) -> None:
    for daemon in reversed(house.daemons):
        with daemon.http.stream("GET", "/api/v1/changes", timeout=20) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry:")
            daemon.send(signal.SIGTERM)
            sent = time.monotonic()
            assert not [line for line in lines if line.startswith("data")]
            assert time.monotonic() - sent < SOON
        assert daemon.stop() == 0


COMPARED_NOT = {
    "/api/v1/changes": "a stream that does not end",
    "/api/v1/threads": "threads of the process",
    "/api/v1/status": "has the role",
    "/api/v1/rules/{rule}/source": "has the path of a file on the disk of the replica",
    "/api/v1/store/last-backup": "there was none",
}
OWN = {"role", "leader", "sentence", "lag_seconds"}
"""Fields that each replica has for itself."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def everything(house: House) -> dict[str, str]:
    """Let something be in each list; return a value for each parameter of a path."""
    leader, standby = house.daemons
    for number in range(4):
        house.push(f"f{number}", leader, kind="file")
    house.push("drift", leader, kind="psi", value=0.31)
    house.push("odd", standby, kind="files")
    standby.http.post("/hooks/push", content=b"{", headers={"content-type": "application/json"})
    until(lambda: len(leader.items("events")) == 6, "all events are in")
    (run,) = until(lambda: leader.items("runs", phase="SUCCEEDED"), "the run ends")
    asked = {"rule": "churn", "changes": {"triggers.files.data.batch.at_least.events": 2}}
    simulation = standby.http.post("/api/v1/simulations", json=asked).raise_for_status().json()["id"]
    shown = f"/api/v1/simulations/{simulation}"
    until(lambda: leader.http.get(shown).json()["ended_at"], "the simulation ends", 120)
    backfill = {"from": "2024-12-01T00:00:00Z"}
    leader.http.post("/api/v1/rules/churn/backfills", json=backfill).raise_for_status()
    standby.http.post("/api/v1/rules/churn/pause", json={"note": "x"}).raise_for_status()
    seq = str(leader.items("events")[0]["seq"])
    return {"rule": "churn", "source": "push", "run": run["id"], "seq": seq, "simulation": simulation, "text": "f1"}


def without_own(answer: Any) -> Any:
    """Return an answer without what each replica has for itself, and without times: some are those of the request."""
    if isinstance(answer, dict):
        return {name: without_own(value) for name, value in answer.items() if name not in OWN}
    if isinstance(answer, list):
        return [without_own(value) for value in answer]
    return TIME.sub("TIME", answer) if isinstance(answer, str) else answer


def test_a_standby_answers_every_read_as_the_leader_does(house: House) -> None:
    values = everything(house)
    read = [path for path, methods in openapi()["paths"].items() if "get" in methods and path.startswith("/api/v1/")]
    query = {name: values[name] for name in ("rule", "text")}

    def answers(path: str) -> list[tuple[int, Any]]:
        found = [daemon.http.get(path.format(**values), params=query) for daemon in house.daemons]
        return [
            (each.status_code, without_own(each.json() if "json" in each.headers["content-type"] else each.text))
            for each in found
        ]

    def differing() -> dict[str, list[tuple[int, Any]]]:
        found = {path: answers(path) for path in read if path not in COMPARED_NOT and "{number}" not in path}
        return {path: both for path, both in found.items() if both[0] != both[1]}

    # What the leader pauses is known on the standby a second later.
    with contextlib.suppress(AssertionError):
        until(lambda: not differing(), "both answer alike", 10)
    assert differing() == {}
