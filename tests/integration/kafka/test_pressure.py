"""Back-pressure: the engine's queue is full."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.simulate.world import NullListener
from retrainer.sources.base import Overloaded
from retrainer.sources.kafka import consumer
from tests.houses.engine import RunningEngine
from tests.integration.kafka.kit import NAME, await_numbers, kafka, numbered, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.broker import Broker

RECORDS = 6000
REFUSALS = 5
"""At one a second."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RunningEngine]:
    house = RunningEngine(tmp_path / "retrainer.db", max_queue=500)
    yield house
    house.close()


class Waiting(NullListener):
    """A listener that blocks the engine at each commit until it is released."""

    def __init__(self, free: threading.Event) -> None:
        self._free = free

    def committed(self, seconds: float, waited: Any, queued: int) -> None:
        self._free.wait(60)


def refusals(house: RunningEngine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with each batch that the engine's queue refuses."""
    queued: list[int] = []
    offer = house.engine.offer

    def counting(batch: Any) -> Any:
        try:
            return offer(batch)
        except Overloaded:
            queued.append(house.engine.queued)
            raise

    monkeypatch.setattr(house.engine, "offer", counting)
    return queued


def test_a_busy_engine_is_waited_for_with_all_partitions_and_nothing_is_lost(
    broker: Broker, small: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic, refused = broker.create_topic(), refusals(small, monkeypatch)
    settings = kafka(broker, topic)
    source = small.source(NAME, settings, [rule()])
    once_each = "SELECT count(*), min(owner_epoch), max(owner_epoch) FROM positions"  # 1 is the epoch of the insert
    until(lambda: small.query(once_each) == [(3, 2, 2)], "all partitions are claimed")
    free = threading.Event()
    monkeypatch.setattr(small.engine, "_listener", Waiting(free))
    small.engine.act(lambda _: None)
    broker.produce(topic, numbered(range(RECORDS)))
    try:
        until(lambda: len(refused) >= REFUSALS, "the engine refused so often")
    finally:
        free.set()
    await_numbers(small, range(RECORDS))
    assert small.query(once_each) == [(3, 2, 2)]
    assert max(refused) <= consumer.MOST_RECORDS
    until(lambda: source.lag == 0, "nothing waits any more")
