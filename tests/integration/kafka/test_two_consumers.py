"""Two readers of a source on one store, in processes that are killed, frozen and superseded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.replication import readers
from tests.integration.kafka.consumers import Consumer, Host
from tests.integration.kafka.judge import judge
from tests.integration.kafka.kit import NAME, await_numbers, counted, kafka, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

EVERY = 50


@pytest.fixture
def settings(broker: Broker) -> dict[str, Any]:
    return kafka(broker, broker.create_topic())


@pytest.fixture
def host(house: RunningEngine) -> Iterator[Host]:
    host = Host(house.engine)
    yield host
    host.close()


@pytest.fixture
def start(
    house: RunningEngine, host: Host, settings: dict[str, Any], tmp_path: Path
) -> Iterator[Callable[[], Consumer]]:
    """A function that starts a reader. All started readers are killed at the end."""
    house.load({NAME: settings}, [rule(EVERY)])
    started: list[Consumer] = []

    def begin() -> Consumer:
        started.append(Consumer(host, NAME, settings, tmp_path / f"reader-{len(started)}.log"))
        return started[-1]

    yield begin
    for reader in started:
        reader.kill()


def claims(house: RunningEngine) -> dict[str, int]:
    """How often each partition was claimed."""
    return dict(house.query("SELECT partition, owner_epoch FROM positions"))


def both_read(house: RunningEngine) -> Callable[[], bool]:
    def live() -> int:
        since = house.clock.now() - readers.LEASE
        return int(house.query(f"SELECT count(*) FROM readers WHERE renewed_at > {since}")[0][0])

    return lambda: live() == 2 and len(parts(house)) == 3


class Flow:
    """Produces numbered records, a hundred at a time, until `end`."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.numbers = 0
        self._broker, self._topic = broker, topic
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            self._broker.produce(self._topic, numbered(range(self.numbers, self.numbers + 100)))
            self.numbers += 100

    def end(self) -> int:
        """Stop producing; return the number of records."""
        self._ended.set()
        self._thread.join()
        return self.numbers


@pytest.fixture
def flow(broker: Broker, settings: dict[str, Any]) -> Iterator[Flow]:
    flow = Flow(broker, settings["topics"][0])
    yield flow
    flow.end()


def assert_exact(house: RunningEngine, total: int) -> None:
    """Assert that each record is one event, and is in exactly one run or in the open window."""
    await_numbers(house, range(total), timeout=60)
    verdict = judge(house.query, set(range(total)))
    assert verdict.wrong == 0
    assert verdict.open_window < EVERY
    assert sum(size * runs for size, runs in verdict.sizes.items()) == total - verdict.open_window


def further(house: RunningEngine, by: int = 1000) -> Callable[[], bool]:
    wanted = len(counted(house)) + by
    return lambda: len(counted(house)) >= wanted


def test_a_rebalance_in_mid_flow_loses_and_doubles_nothing(
    broker: Broker, house: RunningEngine, settings: dict[str, Any], start: Callable[[], Consumer], flow: Flow
) -> None:
    first = start()
    until(further(house), "the first reads")
    second = start()
    until(both_read(house), "both read")
    until(further(house), "both read")
    first.stop()
    until(further(house), "the second reads alone")
    start()
    until(both_read(house), "both read again")
    second.stop()
    until(further(house), "the third reads alone")
    assert_exact(house, flow.end())
    assert sum(claims(house).values()) >= 6  # the second and the third reader took over partitions


def test_a_reader_that_is_killed_is_succeeded(
    broker: Broker, house: RunningEngine, settings: dict[str, Any], start: Callable[[], Consumer], flow: Flow
) -> None:
    both = [start(), start()]
    until(both_read(house), "both read")
    for _ in range(2):
        until(further(house), "they read")
        both.pop(0).kill()
        both.append(start())
    until(further(house, 2000), "they read on")
    assert_exact(house, flow.end())


def test_a_frozen_reader_that_thaws_after_others_went_on_moves_nothing(
    broker: Broker,
    house: RunningEngine,
    host: Host,
    settings: dict[str, Any],
    start: Callable[[], Consumer],
    flow: Flow,
) -> None:
    zombie = start()
    until(further(house), "it reads alone, and all")
    host.gateway.busy = True
    until(lambda: host.gateway.refused >= 3, "it has records in its hands that nobody took")
    zombie.freeze()
    before = claims(house)
    host.gateway.busy = False
    start()
    until(lambda: all(claims(house)[part] > epoch for part, epoch in before.items()), "all parts were taken over")
    until(further(house), "they are read on")
    zombie.thaw()
    until(both_read(house), "the zombie is a reader again")
    until(further(house, 2000), "both read")
    assert_exact(house, flow.end())
