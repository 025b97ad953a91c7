"""The offsets of the consumer group are for displays of the lag only. The source does not read them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata

from tests.integration.kafka.kit import NAME, await_numbers, committed, kafka, members, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker


def test_what_is_stored_is_told_to_the_group(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic)
    broker.produce(topic, numbered(range(30)))
    house.source(NAME, settings, [rule()])
    await_numbers(house, range(30))
    until(lambda: committed(broker, settings["group_id"]) == parts(house), "committed while it runs")
    broker.produce(topic, numbered(range(30, 60)))
    await_numbers(house, range(60))
    house.stop_sources()
    assert committed(broker, settings["group_id"]) == parts(house)
    assert not members(broker, settings["group_id"])


def test_resetting_the_offsets_of_the_group_changes_nothing(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic)
    broker.produce(topic, numbered(range(30)))
    house.source(NAME, settings, [rule()])
    await_numbers(house, range(30))
    house.stop_sources()
    stored = parts(house)
    wrong = {TopicPartition(topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in enumerate([0, 0, 10**6])}
    with broker.admin() as admin:
        admin.alter_group_offsets(settings["group_id"], wrong)
    house.source(NAME, settings, [rule()])
    broker.produce(topic, numbered(range(30, 60)))
    await_numbers(house, range(60))
    assert sum(parts(house).values()) == 60
    assert all(parts(house)[part] >= next_ for part, next_ in stored.items())


def test_another_group_goes_on_from_the_store(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered(range(30)))
    house.source(NAME, kafka(broker, topic), [rule()])
    await_numbers(house, range(30))
    house.stop_sources()
    broker.produce(topic, numbered(range(30, 60)))
    house.source(NAME, kafka(broker, topic, start="latest"), [rule()])
    await_numbers(house, range(60))


def test_a_group_that_has_members_refuses_our_commits_and_does_no_harm(broker: Broker, house: RunningEngine) -> None:
    """Another member of the group, such as an older release or another program, does no harm."""
    topic = broker.create_topic()
    settings = kafka(broker, topic)
    with member(broker, topic, settings["group_id"]):
        house.source(NAME, settings, [rule()])
        broker.produce(topic, numbered(range(30)))
        await_numbers(house, range(30))
        assert len(parts(house)) == 3
    until(lambda: committed(broker, settings["group_id"]) == parts(house), "it commits once the group is empty")


@contextmanager
def member(broker: Broker, topic: str, group: str) -> Iterator[None]:
    """A consumer to which the group assigns all partitions."""
    consumer = KafkaConsumer(topic, bootstrap_servers=broker.servers, group_id=group, enable_auto_commit=False)
    ended = threading.Event()
    polls = threading.Thread(target=lambda: [consumer.poll(100) for _ in iter(ended.is_set, True)])
    polls.start()
    until(lambda: members(broker, group), "it is a member")
    yield
    ended.set()
    polls.join()
    consumer.close(autocommit=False)
