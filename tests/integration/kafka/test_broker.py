"""The source reconnects after the broker was unavailable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.kafka.kit import NAME, await_numbers, kafka, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("stop", id="shut down in order"),
        pytest.param("kill", id="killed"),
    ],
)
def test_a_broker_that_comes_back_is_read_on_without_loss(broker: Broker, house: RunningEngine, end: str) -> None:
    topic = broker.create_topic()
    source = house.source(NAME, kafka(broker, topic), [rule()])
    broker.produce(topic, numbered(range(3000)))
    until(lambda: sum(parts(house).values()), "some are stored, the others under way")
    (broker.stop if end == "stop" else broker.kill)()
    until(lambda: source.last_error and broker.servers in source.last_error, "it is told")
    stored = parts(house)
    broker.start()
    broker.produce(topic, numbered(range(3000, 6000)))
    await_numbers(house, range(6000), timeout=60)
    assert all(parts(house)[part] >= next_ for part, next_ in stored.items())
    until(lambda: source.last_error is None and source.lag == 0, "nothing is wrong any more")
