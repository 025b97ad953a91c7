"""Records that are not events: aborted transactions, records without a value, and unreadable records."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from kafka import KafkaProducer

from tests.integration.kafka.kit import NAME, await_numbers, counted, kafka, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker


@pytest.fixture
def transactional(broker: Broker) -> Iterator[KafkaProducer]:
    producer = KafkaProducer(bootstrap_servers=broker.servers, transactional_id=f"x-{uuid4().hex}", acks="all")
    producer.init_transactions()
    yield producer
    producer.close()


def send(producer: KafkaProducer, topic: str, numbers: range) -> None:
    for n, value in zip(numbers, numbered(numbers), strict=True):
        producer.send(topic, value=value, partition=n % 3)
    producer.flush()


def test_only_what_was_committed_is_counted_and_the_lag_still_reaches_0(
    broker: Broker, house: RunningEngine, transactional: KafkaProducer
) -> None:
    topic = broker.create_topic()
    for begin, ends in [(0, "commit"), (30, "abort"), (60, "commit"), (90, "abort")]:
        transactional.begin_transaction()
        send(transactional, topic, range(begin, begin + 30))
        (transactional.commit_transaction if ends == "commit" else transactional.abort_transaction)()
    source = house.source(NAME, kafka(broker, topic), [rule()])
    await_numbers(house, [*range(30), *range(60, 90)])
    until(lambda: source.lag == 0, "the lag is 0, with an aborted transaction at the end")
    assert list(parts(house).values()) == [44, 44, 44]  # 40 records each, and a marker for each transaction


def test_an_open_transaction_holds_back_what_follows_and_nothing_is_lost(
    broker: Broker, house: RunningEngine, transactional: KafkaProducer
) -> None:
    topic = broker.create_topic()
    house.source(NAME, kafka(broker, topic), [rule()])
    transactional.begin_transaction()
    send(transactional, topic, range(30))
    placed = broker.produce(topic, numbered(range(100, 130)))
    free = {partition for partition, _ in placed} - {0, 1, 2}
    assert not free
    until(lambda: len(parts(house)) == 3, "all partitions are known")
    assert not counted(house)
    transactional.commit_transaction()
    await_numbers(house, [*range(30), *range(100, 130)])


def test_an_aborting_producer_leaves_the_source_no_work(
    broker: Broker, house: RunningEngine, transactional: KafkaProducer
) -> None:
    topic = broker.create_topic()
    source = house.source(NAME, kafka(broker, topic), [rule()])
    transactional.begin_transaction()
    send(transactional, topic, range(30))
    transactional.abort_transaction()
    until(lambda: list(parts(house).values()) == [11, 11, 11] and source.lag == 0, "read past all of it")
    assert not counted(house)


@pytest.mark.parametrize(
    ("tombstones", "letters"),
    [
        pytest.param("dead_letter", 3, id="a tombstone is a dead letter"),
        pytest.param("ignore", 0, id="tombstones can be ignored"),
    ],
)
def test_records_without_a_value(broker: Broker, house: RunningEngine, tombstones: str, letters: int) -> None:
    topic = broker.create_topic(cleanup_policy="compact")
    for partition in range(3):
        values = [*numbered([1]), None, *numbered([2])]
        broker.produce(topic, values, key=b"k", partition=partition)
    source = house.source(NAME, kafka(broker, topic, tombstones=tombstones), [rule()])
    await_numbers(house, [1, 2] * 3)
    until(lambda: source.lag == 0 and list(parts(house).values()) == [3, 3, 3], "all are read")
    assert sorted(house.errors()) == [
        f"a tombstone: the record has no value ({topic}/{partition} offset 1)" for partition in range(letters)
    ]


POISON = [b"{", b"\xef\xbb\xbf{}", b'{"n": NaN}', b"[" * 100 + b"]" * 100, b"[1]", b'{"n": "' + b"x" * 2000 + b'"}']


def test_poison_goes_to_the_dead_letters_where_it_stood_and_holds_nothing_up(
    broker: Broker, house: RunningEngine
) -> None:
    topic = broker.create_topic(partitions=1)
    values = [value for n, poison in enumerate(POISON) for value in (*numbered([n]), poison, poison)]
    broker.produce(topic, values)
    source = house.source(NAME, kafka(broker, topic, max_record="1KB"), [rule()])
    await_numbers(house, range(len(POISON)))
    until(lambda: parts(house) == {f"{topic}/0": len(values)} and source.lag == 0, "all are read")
    places = [f"({topic}/0 offset {offset})" for offset in range(len(values)) if offset % 3]
    assert [error[-len(place) :] for error, place in zip(house.errors(), places, strict=True)] == places
    assert source.last_error is None


def test_an_event_that_breaks_a_rule_is_a_dead_letter_of_that_rule_and_counts_for_the_others(
    broker: Broker, house: RunningEngine
) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, [*numbered([1]), b'{"m": 2}'])
    rules = [rule(name="easy"), rule(name="strict", where="event.data.n > 0")]
    house.source(NAME, kafka(broker, topic), rules)
    until(lambda: parts(house) == {f"{topic}/0": 2}, "both are stored")
    assert house.query("SELECT outcome, rules FROM events ORDER BY seq") == [
        ("matched", '[["easy",""],["strict",""]]'),
        ("matched", '[["easy",""]]'),
    ]
    assert house.query("SELECT rule, reason FROM dead_letters") == [("strict", "raised")]
