"""A daemon that was killed or frozen resumes reading as soon as it runs. No session has to expire first."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.kafka.daemon import Daemon
from tests.integration.kafka.kit import NAME, kafka, numbered, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.broker import Broker

AT_ONCE = 2.0
"""Seconds from readiness to the run. Joining a group that waits for a dead member takes ten or more."""
KILL_EVERY = 4.0
KILLS = 5
FROZEN = 12.0
"""Seconds. Longer than the session timeout of a group member."""


@pytest.fixture
def topic(broker: Broker) -> str:
    return broker.create_topic()


@pytest.fixture
def daemon(broker: Broker, topic: str, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a rule in which each record starts a run."""
    daemon = Daemon(tmp_path, {NAME: kafka(broker, topic)}, [rule(1)])
    daemon.launch()
    daemon.ready()
    yield daemon
    daemon.close()


def runs(daemon: Daemon) -> int:
    return int(daemon.query("SELECT count(*) FROM runs")[0][0])


def seconds_to_the_next_run(daemon: Daemon, broker: Broker, topic: str) -> float:
    before, began = runs(daemon), time.monotonic()
    broker.produce(topic, numbered([before]))
    until(lambda: runs(daemon) > before, "the record's run exists")
    return time.monotonic() - began


def test_with_a_kill_every_four_seconds_each_life_of_the_daemon_starts_runs(
    daemon: Daemon, broker: Broker, topic: str
) -> None:
    seconds_to_the_next_run(daemon, broker, topic)
    for _ in range(KILLS):
        daemon.kill()
        began = time.monotonic()
        daemon.launch()
        daemon.ready()
        assert seconds_to_the_next_run(daemon, broker, topic) < AT_ONCE
        threading.Event().wait(max(0.0, KILL_EVERY - (time.monotonic() - began)))


def test_a_daemon_that_was_frozen_for_longer_than_a_session_reads_on_at_once(
    daemon: Daemon, broker: Broker, topic: str
) -> None:
    seconds_to_the_next_run(daemon, broker, topic)
    daemon.send(signal.SIGSTOP)
    threading.Event().wait(FROZEN)
    daemon.send(signal.SIGCONT)
    assert seconds_to_the_next_run(daemon, broker, topic) < AT_ONCE


def test_a_daemon_that_was_stopped_in_order_is_succeeded_at_once(daemon: Daemon, broker: Broker, topic: str) -> None:
    seconds_to_the_next_run(daemon, broker, topic)
    assert daemon.stop() == 0
    daemon.launch()
    daemon.ready()
    assert seconds_to_the_next_run(daemon, broker, topic) < AT_ONCE
