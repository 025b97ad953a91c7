"""Loops that need a server or a job are killed and hung by fault injection: their work continues or fails visibly."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.models import S3Source
from retrainer.daemon.leadership import Lead
from retrainer.sources.base import ReplayScope, SourceContext
from retrainer.sources.replay import Replays
from retrainer.sources.s3.sweep import Sweep
from retrainer.sources.s3.visibility import VisibilityKeeper
from retrainer.util import failpoints, supervision
from retrainer.util.clock import SystemClock
from retrainer.util.supervisor import Supervisor
from tests.unit.test_config_maps import config_maps, item, server, settings, texts
from tests.unit.test_replay import NOW, RULES, Clock, Intake, Kept, events
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from retrainer.daemon.config_maps import ConfigMaps
    from tests.unit.test_config_maps import Server

__all__ = ["config_maps", "server", "settings"]


@pytest.fixture(autouse=True)
def ends() -> Iterator[list[str]]:
    """The messages with which the process would have exited."""
    lines: list[str] = []
    supervision.arm(lines.append)
    yield lines
    failpoints.disarm()
    supervision.disarm()


def restarts(kind: str) -> int:
    return sum(worker.restarts for worker in Supervisor(lambda _: False).workers if worker.kind == kind)


def start(replays: Replays, kept: Kept) -> None:
    replays.start("topic", kept, ReplayScope(RULES), NOW - 3600, NOW)


def test_a_replay_that_dies_has_failed_and_another_one_may_begin(ends: list[str]) -> None:
    replays = Replays(Intake(), Clock())
    failpoints.arm("replay", "raise", 2)
    start(replays, Kept(events(1), events(1)))
    until(lambda: replays.progress("topic")["state"] == "failed", "it fails")
    assert replays.progress("topic")["error"] == "replay"
    start(replays, Kept(events(1)))
    until(lambda: replays.progress("topic")["state"] == "done", "another one is done")
    assert not ends


def test_a_replay_that_hangs_is_given_up_and_another_one_may_begin() -> None:
    replays = Replays(Intake(), Clock())
    failpoints.arm("replay", "hang", 2)
    start(replays, Kept(events(1)))
    watched = Supervisor(lambda _: False)
    until(lambda: any(worker.where().startswith("retrainer.util.failpoints") for worker in watched.workers), "it hangs")
    replays.give_up("topic", "it hung")
    assert (replays.progress("topic")["state"], replays.progress("topic")["error"]) == ("failed", "it hung")
    start(replays, Kept(events(1)))
    until(lambda: replays.progress("topic")["state"] == "done", "another one is done")


def test_a_follower_of_config_maps_that_dies_sees_the_next_version(server: Server, config_maps: ConfigMaps) -> None:
    config_maps.read()
    failpoints.arm("rules", "raise", 2)
    config_maps.start(lambda: None)
    until(lambda: restarts("rules") == 1, "it is restarted")
    server.items = [item("churn", rules_yaml="two")]
    server.rung.set()
    until(lambda: texts(config_maps) == ["two"], "it sees the next version")


class Queue:
    """Records the deleted messages."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def delete(self, handles: Sequence[str]) -> list[str]:
        self.deleted += handles
        return []

    def hide(self, handles: Sequence[str], seconds: float) -> None: ...

    def depth(self) -> int:
        return 0


def test_messages_are_deleted_after_the_thread_that_does_so_died() -> None:
    queue = Queue()
    held = VisibilityKeeper("lake", queue, SystemClock(), 30.0)  # type: ignore[arg-type] # the real one needs a server
    failpoints.arm("held", "raise", 3)
    held.start()
    held.take(["a", "b"])
    held.stored(["a", "b"])
    until(lambda: queue.deleted == ["a", "b"], "what is stored is deleted")
    held.take(["c"])
    held.stored(["c"])
    until(lambda: queue.deleted == ["a", "b", "c"], "what comes after it, too")
    until(lambda: restarts("held") == 1, "it died in between")
    held.stop(5.0)


def test_a_sweep_goes_on_after_its_thread_died() -> None:
    config = S3Source.model_construct(buckets=[], sweep=0.01)
    sweep = Sweep(SourceContext("lake", Intake(), SystemClock(), Path()), config, 0.01)  # type: ignore[arg-type] # it lists no bucket
    failpoints.arm("sweep", "raise", 5)
    sweep.start()
    until(lambda: restarts("sweep") == 1, "it is restarted")
    before = sweep.last_sweep
    until(lambda: sweep.last_sweep != before, "it sweeps again")
    sweep.stop()


class Shared:
    """A store with only one replica."""

    shared = True

    def claim(self) -> bool:
        return True

    def renew(self, url: str) -> None: ...

    def release(self) -> None: ...


@pytest.mark.parametrize("kind", ["lead", "taking"])
def test_the_process_ends_when_the_keeper_of_the_lead_dies(kind: Any, ends: list[str]) -> None:
    taken = threading.Event()
    lost: list[str] = []
    lead = Lead(Shared(), SystemClock(), lambda: "", taken.set, lost.append)  # type: ignore[arg-type]
    failpoints.arm(kind, "raise")
    lead.start()
    until(lambda: ends, "the process ends")
    assert f"`{kind}`" in ends[0]
    assert not lost
    lead.stop()


def test_a_keeper_of_the_lead_that_was_lost_ends_quietly(ends: list[str]) -> None:
    taken = threading.Event()
    lead = Lead(Shared(), SystemClock(), lambda: "", taken.set, lambda _: None)  # type: ignore[arg-type]
    lead.start()
    assert taken.wait(10)
    assert lead.settle()
    lead.stop()
    assert not ends
