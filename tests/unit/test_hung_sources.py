"""A hung source can be removed or changed in the configuration without effect on others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.sources.directory import DirectorySource
from retrainer.util import failpoints, supervision
from retrainer.util.supervisor import Supervisor
from tests.houses.daemon_in_process import DaemonInProcess
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retrainer.util.supervision import Worker

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
LANDING
rules:
  - name: one
    triggers: {d: {data: {source: push, batch: {at_least: {events: 1}}}}}
    submit: {workflow_template: t}
"""
LANDING = "  landing: {type: directory, path: ../landing, polling_interval: 50ms}"
CHANGED = LANDING.replace("50ms", "60ms")


def rules(landing: str) -> str:
    return RULES.replace("LANDING", landing)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonInProcess]:
    """A daemon in which the thread of the source `landing` hangs."""
    monkeypatch.setattr(DirectorySource, "_GRACE", 0.05)
    (tmp_path / "landing").mkdir()
    failpoints.arm("source", "hang", 3)
    made = DaemonInProcess(tmp_path, rules(LANDING))
    until(lambda: worker(made).where().startswith("retrainer.util.failpoints"), "it hangs")
    yield made
    failpoints.disarm()
    supervision.disarm()
    made.close()


def worker(house: DaemonInProcess) -> Worker:
    (found,) = (one for one in house.app.supervisor.workers if one.name == "source-landing")
    return found


def reload(house: DaemonInProcess, text: str) -> None:
    (house.folder / "rules/rules.yaml").write_text(text)
    house.app.reload.now()


@pytest.mark.parametrize("landing", [pytest.param("", id="taken out"), pytest.param(CHANGED, id="changed")])
def test_what_hangs_is_left_behind_and_the_process_goes_on(house: DaemonInProcess, landing: str) -> None:
    ends: list[str] = []
    supervision.arm(ends.append)
    hung = worker(house)
    reload(house, rules(landing))
    supervised = Supervisor(house.app.replace, patience=0.01)
    for _ in range(5):
        supervised.look(house.app.clock.monotonic())
    assert hung not in supervised.workers
    assert ends == []


@pytest.mark.parametrize("landing", [pytest.param("", id="taken out"), pytest.param(CHANGED, id="changed")])
def test_what_has_its_name_now_stays(house: DaemonInProcess, landing: str) -> None:
    hung = worker(house)
    reload(house, rules(landing))
    before = house.app.ingestion.sources()
    assert house.app.replace(hung)
    assert house.app.ingestion.sources() == before


def test_one_that_is_still_wanted_is_replaced(house: DaemonInProcess) -> None:
    hung, before = worker(house), house.app.ingestion.sources()["landing"]
    assert house.app.replace(hung)
    assert house.app.ingestion.sources()["landing"] is not before
    until(lambda: worker(house).is_alive() and worker(house) is not hung, "another one works")
