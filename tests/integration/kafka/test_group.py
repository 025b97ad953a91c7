"""The consumer group: for displays of the lag, and never the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kafka import TopicPartition
from kafka.admin import MemberToRemove
from kafka.structs import OffsetAndMetadata

from tests.integration.house import House, eventually
from tests.integration.kafka.kit import NAME, await_numbers, committed, kafka, members, numbered, parts, rule

if TYPE_CHECKING:
    from tests.integration.broker import Broker


def test_what_is_stored_is_told_to_the_group(broker: Broker, house: House) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic)
    broker.produce(topic, numbered(range(30)))
    house.source(NAME, settings, [rule()])
    await_numbers(house, range(30))
    eventually(lambda: committed(broker, settings["group_id"]) == parts(house), "committed while it runs")
    broker.produce(topic, numbered(range(30, 60)))
    await_numbers(house, range(60))
    house.stop_sources()
    assert committed(broker, settings["group_id"]) == parts(house)
    assert not members(broker, settings["group_id"])


def test_resetting_the_offsets_of_the_group_changes_nothing(broker: Broker, house: House) -> None:
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


def test_another_group_goes_on_from_the_store(broker: Broker, house: House) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered(range(30)))
    house.source(NAME, kafka(broker, topic), [rule()])
    await_numbers(house, range(30))
    house.stop_sources()
    broker.produce(topic, numbered(range(30, 60)))
    house.source(NAME, kafka(broker, topic, start="latest"), [rule()])
    await_numbers(house, range(60))


def test_a_commit_that_the_group_refuses_does_no_harm(broker: Broker, house: House) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic)
    house.source(NAME, settings, [rule()])
    eventually(lambda: len(parts(house)) == 3, "all partitions are claimed")
    for begin in range(0, 90, 30):
        expel(broker, settings["group_id"])  # a commit of a member that is none is refused
        broker.produce(topic, numbered(range(begin, begin + 30)))
        await_numbers(house, range(begin + 30))
    eventually(lambda: committed(broker, settings["group_id"]) == parts(house), "it is a member again, and commits")


def expel(broker: Broker, group: str) -> None:
    with broker.admin() as admin:
        found = [MemberToRemove(member_id=member) for member in members(broker, group)]
        admin.remove_group_members(group, found)
