"""A backup of a running daemon is put in the place of its store: what is there, and what has one Workflow."""

from __future__ import annotations

import json
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.unit.test_app import TEMPLATE, Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTED = """
version: 1
sources:
  stream: {type: webhook, path: /hooks/stream, id: data.id}
rules:
  - name: counted
    triggers: {new: {data: {source: stream, batch: {at_least: {events: 100000}}}}}
    submit: {workflow_template: train, parameters: {n: "1"}}
"""
SLOW = TEMPLATE.replace(
    'open("/tmp/auc"',
    'import os, time\n          while not os.path.exists("go"): time.sleep(0.05)\n          open("/tmp/auc"',
)


class Stream(threading.Thread):
    """Sends events one after another, and counts those that were acknowledged."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.acknowledged, self.ended = url, 0, threading.Event()

    def run(self) -> None:
        with suppress(httpx.TransportError), httpx.Client(base_url=self.url, trust_env=False) as http:
            while not self.ended.is_set():
                http.post("/hooks/stream", json={"id": self.acknowledged}).raise_for_status()
                self.acknowledged += 1


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    made.rules("counted", COUNTED)
    yield made
    made.close()


def back_up(daemon: Daemon) -> dict[str, Any]:
    at = str(daemon.folder / "backup.db")
    made: dict[str, Any] = json.loads(
        daemon.cli("store", "backup", at, "--store", str(daemon.folder / "store.db"), "-o", "json")
    )
    return made


def restore(daemon: Daemon) -> None:
    daemon.cli("store", "restore", str(daemon.folder / "backup.db"), "--store", str(daemon.folder / "store.db"))


def pending(daemon: Daemon, rule: str) -> int:
    """The events in the window of a rule."""
    told = daemon.http.post(f"/api/v1/rules/{rule}/explain", json={}).json()
    return int(told["verdict"].split(" of ")[0].split()[-1])


def workflows(daemon: Daemon) -> set[str]:
    return {path.name for path in (daemon.folder / "runs").glob("*/churn-*")}


def test_what_was_acknowledged_before_the_backup_is_there_once(daemon: Daemon) -> None:
    (daemon.folder / "templates/train.yaml").write_text(SLOW)
    daemon.start()
    daemon.post("a", "b")
    (going,) = daemon.until(lambda: daemon.runs("RUNNING"))
    daemon.post("c")
    stream = Stream(daemon.url)
    stream.start()
    until(lambda: stream.acknowledged > 50, "events arrive")

    before = stream.acknowledged
    back_up(daemon)
    after = stream.acknowledged + 1  # one may be stored and not acknowledged yet
    daemon.post("d")  # with `c`, a run that the backup does not have
    daemon.until(lambda: len(daemon.runs("RUNNING")) == 2)
    (unknown,) = {run["workflow"] for run in daemon.runs()} - {going["workflow"]}
    daemon.kill()
    stream.ended.set()
    stream.join()
    restore(daemon)
    daemon.start()
    reported = daemon.until(lambda: [line for line in daemon.lines() if line["event"] == "workflow.unknown_run"])
    assert [line["workflow"] for line in reported] == [unknown]
    (daemon.folder / "go").touch()

    assert before <= pending(daemon, "counted") <= after
    (done,) = daemon.until(lambda: daemon.runs("SUCCEEDED"))
    assert (done["id"], done["workflow"]) == (going["id"], going["workflow"])
    assert pending(daemon, "churn") == 1
    daemon.post("a", "b", "c")  # a sender that repeats what it had sent before the backup
    assert pending(daemon, "churn") == 1
    assert workflows(daemon) == {going["workflow"], unknown}, "no second Workflow for either"
    assert [run["id"] for run in daemon.runs()] == [going["id"]]

    daemon.post("d")  # and what it sent after the backup is new to this store: it counts, and fires
    daemon.until(lambda: len(daemon.runs("SUCCEEDED")) == 2)
    assert len(workflows(daemon)) == 3
    assert daemon.stop() == 0


def test_a_workflow_that_was_created_after_the_backup_is_found_by_its_run(daemon: Daemon) -> None:
    with suppress(httpx.TransportError):
        daemon.start(RETRAINER_CRASH_AT="before-post")
        daemon.post("a", "b")
    assert daemon.died() == -signal.SIGKILL
    daemon.cli("store", "backup", str(daemon.folder / "backup.db"), "--store", str(daemon.folder / "store.db"))
    assert workflows(daemon) == set()
    daemon.start()
    (first,) = daemon.until(lambda: daemon.runs("SUCCEEDED"))
    daemon.kill()
    restore(daemon)
    daemon.start()
    (second,) = daemon.until(lambda: daemon.runs("SUCCEEDED"))
    assert (second["id"], second["workflow"]) == (first["id"], first["workflow"])
    assert workflows(daemon) == {first["workflow"]}


def test_a_backup_from_the_daemon_is_complete_and_reported(daemon: Daemon) -> None:
    (daemon.folder / "kept").mkdir()
    daemon.start()
    daemon.post("a")
    stream = Stream(daemon.url)
    stream.start()
    until(lambda: stream.acknowledged > 50, "events arrive")
    assert daemon.http.get("/api/v1/store/last-backup").status_code == 404
    waiting_since = daemon.metric("retrainer_store_backup_timestamp_seconds")
    assert waiting_since is not None

    (daemon.folder / ".store.db.backup.x1.part").write_text("of a daemon that was killed")
    before = stream.acknowledged
    told = daemon.cli("store", "backup", f"{daemon.folder}/kept/", "--from-daemon", "--keep", "3", "-o", "json")
    made = json.loads(told)
    stream.ended.set()
    stream.join()
    assert made["path"].startswith(f"{daemon.folder}/kept/")
    last = daemon.http.get("/api/v1/store/last-backup").json()
    assert (last["place"], last["bytes"]) == (made["path"], made["bytes"])
    assert (daemon.metric("retrainer_store_backup_timestamp_seconds") or 0) > waiting_since
    assert list(daemon.folder.glob(".*.part")) == [], "no draft is left"

    later = {"at": "2100-01-01T00:00:00Z", "bytes": 5, "place": "here"}
    refused = daemon.http.put("/api/v1/store/last-backup", json=later)
    assert (refused.status_code, "is in the future" in refused.json()["detail"]) == (422, True)

    daemon.kill()
    daemon.cli("store", "restore", f"{daemon.folder}/kept/", "--store", str(daemon.folder / "store.db"))
    daemon.start()
    assert pending(daemon, "churn") == 1
    assert before <= pending(daemon, "counted") < stream.acknowledged + 1


def test_a_backup_is_refused_where_it_cannot_be_one(daemon: Daemon) -> None:
    daemon.start()
    back_up(daemon)
    with pytest.raises(AssertionError, match="exists already"):
        back_up(daemon)
    with pytest.raises(AssertionError, match="pg_dump --format=custom"):
        daemon.cli("store", "backup", "r.dump", "--store", "postgresql://u@db/r")
    with pytest.raises(AssertionError, match="does not exist"):
        daemon.cli("store", "backup", "r.db", "--store", "absent.db")
