"""Each thread of a daemon is killed and hung by fault injection: it recovers, or the process exits and says why."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from retrainer.util.supervision import FAILED
from tests.unit.test_app import RULES, Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = "0.05"
"""Allows an engine to be silent for 1.5 s, and a source for 3 s."""
PACE = 0.05
"""Seconds between two events: each event is load on the test machine."""
LANDING = """
  landing: {type: directory, path: ../landing, polling_interval: 50ms, settle: 0s}
"""
ON_FILES = """
  - name: files
    triggers: {new: {data: {source: landing, batch: {at_least: {events: 1}}}}}
    limits: {overlap: allow_all}
    submit: {workflow_template: train, parameters: {n: "1"}}
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    (tmp_path / "landing").mkdir()
    made.rules("rules", RULES.replace("rules:\n", LANDING.lstrip("\n") + "rules:\n") + ON_FILES.lstrip("\n"))
    yield made
    made.close()


def lines(daemon: Daemon, event: str) -> list[dict[str, Any]]:
    told = [json.loads(line) for line in daemon.said().splitlines() if line.startswith("{")]
    return [line for line in told if line["event"] == event]


def land(daemon: Daemon, name: str) -> None:
    (daemon.folder / "landing" / name).write_text("x")


def succeeded(daemon: Daemon) -> set[str]:
    return {run["rule"] for run in daemon.runs("SUCCEEDED")}


def test_threads_that_die_are_restarted_and_the_work_goes_on(daemon: Daemon) -> None:
    kinds = ["source:5", "claim:2", "submit:2", "observe:2", "follow:2", "watch:2", "timer:2"]
    daemon.start(RETRAINER_RAISE_AT=",".join(kinds))
    land(daemon, "one")
    daemon.post("a", "b")
    until(lambda: succeeded(daemon) == {"churn", "files"}, "both rules have succeeded", 120)
    told = until(
        lambda: len(found := lines(daemon, "thread.restarted")) == len(kinds) and found,
        "each thread was restarted",
        120,
    )
    names = {line["thread"].split("-")[0] for line in told}
    assert names == {kind.partition(":")[0] for kind in kinds}
    assert all("Fault" in line["error"] and line["does"] for line in told)
    assert 'retrainer_thread_restarts_total{thread="source-landing"} 1.0' in daemon.http.get("/metrics").text
    assert daemon.http.get("/healthz").status_code == 200
    assert daemon.stop() == 0


def provoke(daemon: Daemon) -> int:
    """Send events until the process has exited; return its exit code."""
    number = 0
    while daemon.running:
        number += 1
        post(daemon, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            daemon.process.wait(PACE)
    return daemon.died()


def post(daemon: Daemon, number: int) -> bool:
    """Whether there was a response."""
    with contextlib.suppress(httpx.TransportError):
        daemon.http.post("/hooks/push", json={"id": f"e{number}"}, timeout=0.5)
        return True
    return False


@pytest.mark.parametrize("kind", ["engine", "web"])
def test_the_process_ends_when_a_thread_dies_that_is_not_safe_to_restart(daemon: Daemon, kind: str) -> None:
    daemon.start(RETRAINER_RAISE_AT=f"{kind}:20")
    assert provoke(daemon) == FAILED
    (line,) = lines(daemon, "daemon.ends")
    assert f"`{kind}`" in line["error"]
    assert "died and is not safe to restart: Fault" in line["error"]
    daemon.start()
    daemon.post("x", "y")
    until(lambda: "churn" in succeeded(daemon), "churn has succeeded", 120)


def test_the_process_ends_when_a_thread_hangs_that_cannot_be_replaced(tmp_path: Path) -> None:
    """One daemon for each kind of thread: they hang in parallel."""
    daemons: dict[str, Daemon] = {}
    try:
        for point in ("engine:20", "web:20", "claim:3", "submit:9", "observe:3", "follow:3", "watch:3"):
            kind = point.partition(":")[0]
            (tmp_path / kind).mkdir()
            daemons[kind] = Daemon(tmp_path / kind)
            daemons[kind].start(RETRAINER_HANG_AT=point, RETRAINER_PATIENCE=PATIENCE)
        for kind, daemon in daemons.items():
            assert provoke(daemon) == FAILED, kind
            (line,) = lines(daemon, "daemon.ends")
            assert f"`{kind}" in line["error"]
            assert "hangs in its own work" in line["error"]
            assert line["exit_code"] == FAILED
    finally:
        for daemon in daemons.values():
            daemon.close()


def test_an_engine_that_hangs_fails_the_liveness_probe(daemon: Daemon) -> None:
    daemon.start(RETRAINER_HANG_AT="engine:20", RETRAINER_PATIENCE="0.1")
    assert daemon.http.get("/healthz").status_code == 200
    assert not all(post(daemon, number) for number in range(20))
    answer = until(lambda: (found := daemon.http.get("/healthz")).status_code == 503 and found, "the probe fails", 120)
    assert "the thread engine hangs in its own work at retrainer.util.failpoints" in answer.json()["reasons"][0]
    assert daemon.http.get("/readyz").status_code == 503


def test_a_source_that_hangs_is_replaced_and_its_events_come(daemon: Daemon) -> None:
    daemon.start(RETRAINER_HANG_AT="source:5", RETRAINER_PATIENCE=PATIENCE)
    until(lambda: lines(daemon, "thread.replaced"), "the thread is replaced", 120)
    land(daemon, "one")
    until(lambda: "files" in succeeded(daemon), "files has succeeded", 120)
    assert 'retrainer_thread_restarts_total{thread="source-landing"} 1.0' in daemon.http.get("/metrics").text
    assert daemon.stop() == 0


def test_a_stop_that_a_thread_keeps_from_ending_ends_all_the_same(daemon: Daemon) -> None:
    daemon.start(RETRAINER_HANG_AT="engine:20", RETRAINER_PATIENCE="0.1")
    assert not all(post(daemon, number) for number in range(20))
    os.kill(daemon.process.pid, signal.SIGTERM)
    assert daemon.died() == FAILED
    (line,) = lines(daemon, "daemon.ends")
    assert "engine at retrainer.util.failpoints" in line["error"]
