"""Each thread hangs while the daemon stops: it is abandoned in time and named, and the others end cleanly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from retrainer.daemon import lifecycle
from retrainer.daemon.leadership import Lead
from retrainer.engine.replication.standby_intake import StandbyIntake
from retrainer.simulate.world import ManualClock
from retrainer.store.sqlite import SqliteStore
from retrainer.util import failpoints, supervision
from retrainer.util.supervision import FAILED, within
from tests.houses.daemon_in_process import DaemonInProcess
from tests.unit.test_app import Daemon
from tests.unit.test_thread_faults import lines
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retrainer.util.failpoints import Kind
    from retrainer.util.supervision import Worker

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
  landing: {type: directory, path: ../landing, polling_interval: 50ms}
rules:
  - name: one
    triggers: {d: {data: {source: push, batch: {at_least: {events: 1}}}}}
    submit: {workflow_template: t}
"""


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaemonInProcess]:
    monkeypatch.setattr(lifecycle, "WAIT_WITHIN", 3.0)
    monkeypatch.setattr(lifecycle, "WAIT_FOR_ONE", 0.3)
    monkeypatch.setattr(supervision, "_running", {})
    (tmp_path / "landing").mkdir()
    made = DaemonInProcess(tmp_path, RULES)
    yield made
    failpoints.disarm()
    made.http.close()


def hung(house: DaemonInProcess, kind: Kind) -> Worker:
    """Make a thread of that kind hang; return it once it hangs."""

    def look() -> Worker | None:
        house.app.timers.wake("listen")
        house.app.run_workers.submitter.wake()
        house.app.run_workers.reconciler.wake()
        house.app.engine.act(lambda _: None)
        found = [one for one in house.app.supervisor.workers if one.where().startswith("retrainer.util.failpoints")]
        return found[0] if found else None

    failpoints.arm(kind, "hang")
    return until(look, f"a thread `{kind}` hangs")


@pytest.mark.parametrize("kind", ["timer", "source", "claim", "follow", "watch", "web", "engine"])
def test_a_thread_that_hangs_is_left_behind_and_named(house: DaemonInProcess, kind: Kind) -> None:
    thread = hung(house, kind)
    (left,) = (one for one in house.app.stop() if one.hangs)
    assert left.name == thread.name
    assert left.at.startswith("retrainer.util.failpoints")
    ended = [one for one in house.app.supervisor.workers if one is not thread and one.name != "engine"]
    assert ended == [], "all others have ended"
    failpoints.disarm()
    until(lambda: not thread.is_alive(), "it finds that it is to end")
    if kind == "engine":  # its store stays open, because it may be about to commit
        house.app.store.close()


@pytest.mark.parametrize("kind", ["submit", "observe"])
def test_a_thread_that_hangs_when_it_is_given_work_is_left_behind(house: DaemonInProcess, kind: Kind) -> None:
    (house.folder / "templates/t.yaml").write_text(TEMPLATE)
    failpoints.arm(kind, "hang", 1 if kind == "submit" else 2)
    house.http.post("/hooks/push", json={"id": "a"})
    hanging = until(
        lambda: [one for one in house.app.supervisor.workers if one.where().startswith("retrainer.util.failpoints")],
        "it hangs",
    )
    left = house.app.stop()
    assert hanging[0].name in [one.name for one in left if one.hangs]


def test_a_standby_and_the_keeper_of_the_lead_are_left_behind(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "store.db")
    before = len(supervision.left_behind())
    standby_intake = StandbyIntake(store, ManualClock(0.0), lambda: None, 10)  # type: ignore[arg-type,return-value]
    lead = Lead(store, ManualClock(0.0), str, lambda: None, lambda _: None)
    failpoints.arm("standby-intake", "hang")
    failpoints.arm("lead", "hang")
    standby_intake.start()
    lead._keeper.start()
    until(lambda: lead._keeper.where().startswith("retrainer.util.failpoints"), "it hangs")
    lead.stop(0.1)
    standby_intake.stop(0.1)
    assert [one.name for one in supervision.left_behind()[before:]] == ["lead", "standby-intake"]
    failpoints.disarm()
    until(lambda: not (standby_intake._thread.is_alive() or lead._keeper.is_alive()), "both end")
    store.close()


def test_a_step_that_does_not_return_is_left_behind() -> None:
    go_on, before = threading.Event(), len(supervision.left_behind())
    assert within(1.0, "quick", lambda: None)
    assert within(1.0, "raises", lambda: 1 / 0)
    assert not within(0.05, "store-close", go_on.wait)
    assert [one.name for one in supervision.left_behind()[before:]] == ["store-close"]
    go_on.set()


def test_the_process_ends_and_says_which_thread_did_not(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.start(RETRAINER_HANG_AT="timer:30", RETRAINER_PATIENCE="0.1")
    daemon.post("a", "b")
    try:
        until(
            lambda: 'retrainer_thread_stuck{thread="timer-' in daemon.http.get("/metrics").text,
            "the thread is stuck",
            120,
        )
        age = 'retrainer_thread_heartbeat_age_seconds{thread="timer-'
        until(
            lambda: [
                line
                for line in daemon.http.get("/metrics").text.splitlines()
                if line.startswith(age) and float(line.rpartition(" ")[2]) > 2
            ],
            "the thread is reported",
            120,
        )
        assert daemon.stop() == FAILED
    finally:
        daemon.close()
    (line,) = lines(daemon, "daemon.ends")
    assert line["error"].startswith("stopped, but these threads did not end in time: timer-")
    assert lines(daemon, "daemon.stopped"), "everything else was settled"


TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: t}
spec:
  entrypoint: main
  templates: [{name: main, script: {image: python, command: [python], source: "pass"}}]
"""
