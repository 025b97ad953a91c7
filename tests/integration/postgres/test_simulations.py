"""Simulations of two replicas that share a database: they read one state of it, and the standby passes requests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.postgres.pair import Pair, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.server import Postgres
    from tests.integration.s3.daemon import Daemon

SIMULATIONS = "/api/v1/simulations"
RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: every
    triggers: {new: {data: {source: push, batch: {at_least: {events: 3}}}}}
    submit: {workflow_template: train}
"""


@pytest.fixture
def pair(postgres: Postgres, database: str, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(postgres, database, tmp_path)
    for daemon in made.daemons:
        (daemon.settings.parent / "rules.yaml").write_text(RULES)
    yield from started(made)


def ended(daemon: Daemon, number: str) -> dict[str, Any]:
    def shown() -> dict[str, Any]:
        answer = daemon.http.get(f"{SIMULATIONS}/{number}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    until(lambda: shown()["ended_at"] is not None, "the simulation ends", 120.0)
    return shown()


def test_a_simulation_that_is_started_at_the_standby_is_seen_at_both(pair: Pair) -> None:
    leader, standby = pair.daemons
    for number in range(4):
        leader.http.post("/hooks/push", json={"n": number}).raise_for_status()
    runs = {"rule": "every", "phase": "SUCCEEDED"}
    until(lambda: len(leader.http.get("/api/v1/runs", params=runs).json()["items"]) == 1, "the run ends")
    asked = {"rule": "every", "changes": {"triggers.new.data.batch.at_least.events": 5}}
    answer = standby.http.post(SIMULATIONS, json=asked)
    assert answer.status_code == 200, answer.text
    name = answer.json()["id"]
    shown = ended(standby, name)
    assert shown["phase"] == "succeeded", shown["detail"]
    assert shown == ended(leader, name)
    result = shown["result"]
    assert (result["current"]["runs"], result["proposed"]["runs"], result["agrees"]) == (1, 0, True)
    assert standby.http.delete(f"{SIMULATIONS}/{name}").status_code == 204
    assert leader.http.get(f"{SIMULATIONS}/{name}").status_code == 404
