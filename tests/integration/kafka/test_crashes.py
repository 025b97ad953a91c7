"""The daemon is killed at critical points while records arrive; each record counts exactly once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.integration.kafka.daemon import Daemon
from tests.integration.kafka.judge import judge
from tests.integration.kafka.kit import NAME, kafka, numbered, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.broker import Broker

AT_ONCE = 25
MORE = 200
EVERY = 150


@pytest.fixture
def topic(broker: Broker) -> str:
    return broker.create_topic()


@pytest.fixture
def daemon(broker: Broker, topic: str, tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path, {NAME: kafka(broker, topic)}, [rule(EVERY)])
    yield daemon
    daemon.close()


def feed(broker: Broker, topic: str, produced: int, count: int = AT_ONCE) -> int:
    broker.produce(topic, [*numbered(range(produced, produced + count)), b"junk"])
    return produced + count


def counted(daemon: Daemon) -> int:
    """The number of records that the daemon took in since its start, including dead letters."""
    return int(daemon.of_source("retrainer_events_received_total", NAME) or 0)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"RETRAINER_RAISE_AT": "source:30"}, id="its thread dies"),
        pytest.param({"RETRAINER_HANG_AT": "source:30", "RETRAINER_PATIENCE": "0.05"}, id="its thread hangs"),
    ],
)
def test_nothing_is_lost_or_doubled_by_a_thread_that_fails(
    broker: Broker, topic: str, daemon: Daemon, fault: dict[str, str]
) -> None:
    daemon.launch(**fault)
    daemon.ready()
    produced = chunks = 0
    restarts = 'retrainer_thread_restarts_total{thread="source-topic"} 1.0'.replace("topic", NAME)
    while restarts not in daemon.http.get("/metrics").text:
        produced, chunks = feed(broker, topic, produced, MORE), chunks + 1
    produced, chunks = feed(broker, topic, produced, MORE), chunks + 1
    finish(daemon, produced, chunks)


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "after-acknowledge"])
def test_nothing_is_lost_or_doubled_by_a_crash(broker: Broker, topic: str, daemon: Daemon, point: str) -> None:
    produced = chunks = 0
    daemon.launch(RETRAINER_CRASH_AT=f"{point}:25")  # the first dozen commits belong to the start
    while daemon.running:
        produced, chunks = feed(broker, topic, produced), chunks + 1
    assert daemon.exit_code == -signal.SIGKILL
    assert events(daemon)
    produced, chunks = feed(broker, topic, produced, MORE), chunks + 1
    daemon.launch()
    daemon.ready()
    finish(daemon, produced, chunks)


def events(daemon: Daemon) -> int:
    return len(daemon.query("SELECT 1 FROM events"))


def letters(daemon: Daemon) -> int:
    return len(daemon.query("SELECT 1 FROM dead_letters"))


def finish(daemon: Daemon, produced: int, junk: int) -> None:
    """Wait for the remaining records, stop the daemon cleanly, and compare records with the ledger and the runs."""
    until(lambda: events(daemon) >= produced, "all is taken in", 60)
    until(lambda: daemon.of_source("retrainer_source_lag", NAME) == 0, "nothing waits")
    assert daemon.stop() == 0
    verdict = judge(daemon.query, set(range(produced)))
    assert verdict.wrong == 0
    assert verdict.open_window < EVERY
    assert letters(daemon) == junk


def test_a_daemon_that_is_told_to_end_in_mid_flow_ends_in_order(broker: Broker, topic: str, daemon: Daemon) -> None:
    daemon.launch()
    daemon.ready()
    produced = chunks = 0
    while counted(daemon) < 500:
        produced, chunks = feed(broker, topic, produced), chunks + 1
    produced, chunks = feed(broker, topic, produced, 5000), chunks + 1
    assert daemon.stop() == 0
    assert events(daemon) <= produced
    daemon.launch()
    daemon.ready()
    finish(daemon, produced, chunks)
