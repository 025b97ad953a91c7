"""Which topics are read, from which offset, and how topics that appear later are found."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from tests.integration.kafka.kit import NAME, await_numbers, counted, kafka, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

HOUR_MS = 3_600_000


def test_every_record_of_every_partition_is_one_event_in_its_order(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    placed = broker.produce(topic, numbered(range(3000)))
    source = house.source(NAME, kafka(broker, topic), [rule()])
    await_numbers(house, range(3000))
    came = counted(house)
    for partition in range(3):
        of_it = [n for n, (where, _) in enumerate(placed) if where == partition]
        assert [n for n in came if n in set(of_it)] == of_it
    ends = {f"{topic}/{p}": sum(where == p for where, _ in placed) for p in range(3)}
    until(lambda: parts(house) == ends and source.lag == 0, "read to the ends")
    assert source.last_error is None


def test_a_topic_that_is_made_later_is_found_by_its_pattern(broker: Broker, house: RunningEngine) -> None:
    prefix = f"p-{uuid4().hex[:8]}"
    first, other = broker.create_topic(f"{prefix}.a"), broker.create_topic(f"x{prefix}.a")
    broker.produce(first, numbered([1]))
    broker.produce(other, numbered([99]))
    house.source(NAME, kafka(broker, topic_pattern=rf"{prefix}\.[a-z]"), [rule()])
    await_numbers(house, [1])
    second, longer = broker.create_topic(f"{prefix}.b"), broker.create_topic(f"{prefix}.bb")
    broker.produce(longer, numbered([98]))
    broker.produce(second, numbered([2]))
    await_numbers(house, [1, 2])
    assert {part.split("/")[0] for part in parts(house)} == {first, second}


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        pytest.param("earliest", [1, 2, 3], id="earliest reads what is there"),
        pytest.param("latest", [3], id="latest reads what comes"),
        pytest.param("middle", [2, 3], id="a timestamp reads from then on"),
        pytest.param("future", [3], id="a timestamp that no record has reached reads what comes"),
    ],
)
def test_a_new_topic_begins_where_the_policy_says(
    broker: Broker, house: RunningEngine, start: str, expected: list[int]
) -> None:
    topic, now = broker.create_topic(), int(time.time() * 1000)
    for partition in range(3):
        broker.produce(topic, numbered([1]), partition=partition, timestamp_ms=now - 2 * HOUR_MS)
        broker.produce(topic, numbered([2]), partition=partition, timestamp_ms=now - 30 * 60_000)
    at = {"middle": now - HOUR_MS, "future": now + HOUR_MS}.get(start)
    policy: Any = {"timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat()} if at is not None else start
    house.source(NAME, kafka(broker, topic, start=policy), [rule()])
    until(lambda: len(parts(house)) == 3, "all partitions are known")
    for partition in range(3):
        broker.produce(topic, numbered([3]), partition=partition)
    await_numbers(house, expected * 3)


def test_the_policy_holds_for_a_topic_once_and_never_again(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic, start="latest")
    house.source(NAME, settings, [rule()])
    until(lambda: len(parts(house)) == 3, "all partitions are known")
    house.stop_sources()
    broker.produce(topic, numbered(range(30)))
    house.source(NAME, settings, [rule()])
    await_numbers(house, range(30))


def test_partitions_that_are_added_are_read_from_their_beginning(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, numbered([0]))
    house.source(NAME, kafka(broker, topic, start="latest"), [rule()])
    until(lambda: parts(house) == {f"{topic}/0": 1}, "begun behind what was there")
    broker.add_partitions(topic, 3)
    for partition in (1, 2):
        broker.produce(topic, numbered([partition]), partition=partition)
    await_numbers(house, [1, 2])


def test_a_topic_that_is_missing_is_named_until_it_is_there(broker: Broker, house: RunningEngine) -> None:
    there, missing = broker.create_topic(), f"t-{uuid4().hex[:8]}"
    source = house.source(NAME, kafka(broker, there, missing), [rule()])
    said = f"topic {missing} does not exist: create it, or correct the source's topics"
    until(lambda: source.last_error == said, "the topic is named")
    broker.produce(there, numbered([1]))
    await_numbers(house, [1])
    broker.create_topic(missing)
    broker.produce(missing, numbered([2]))
    await_numbers(house, [1, 2])
    until(lambda: source.last_error is None, "nothing is wrong any more")
