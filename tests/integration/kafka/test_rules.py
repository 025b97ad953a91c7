"""The fields of a record that rules can use."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.kafka.kit import NAME, await_numbers, kafka, numbered, parts, rule
from tests.waiting import until

if TYPE_CHECKING:
    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

PLACE = "event.attributes.kafka"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param({"match": {f"{PLACE}.key": "eu-*"}}, [1], id="the key, by match"),
        pytest.param({"match": {f"{PLACE}.headers.kind": "sale"}}, [1], id="a header, by match"),
        pytest.param({"match": {f"{PLACE}.partition": 2}}, [2], id="the partition, by match"),
        pytest.param({"where": f"{PLACE}.offset == 0 && {PLACE}.partition == 0"}, [0], id="the offset, by where"),
        pytest.param({"where": f"has({PLACE}.key) && {PLACE}.key == 'eu-1'"}, [1], id="the key, by where"),
        pytest.param({"where": f"{PLACE}.headers['kind'] == 'return'"}, [2], id="a header, by where"),
        pytest.param({"where": f"{PLACE}.timestamp < 1700000000.0"}, [0], id="the timestamp, by where"),
    ],
)
def test_rules_choose_by_where_a_record_stands_and_what_it_carries(
    broker: Broker, house: RunningEngine, wanted: dict[str, Any], expected: list[int]
) -> None:
    topic = broker.create_topic(retention_ms="-1")
    broker.produce(topic, numbered([0]), partition=0, headers=[("Kind", b"")], timestamp_ms=1_600_000_000_000)
    broker.produce(topic, numbered([1]), partition=1, headers=[("kind", b"sale")], key=b"eu-1")
    broker.produce(topic, numbered([2]), partition=2, headers=[("KIND", b"return")], key=b"\xff")
    house.source(NAME, kafka(broker, topic), [rule(**wanted)])
    until(lambda: sum(parts(house).values()) == 3, "all three are stored")
    rows = house.query("SELECT json_extract(data, '$.n') FROM events WHERE outcome = 'matched' ORDER BY seq")
    assert [n for (n,) in rows] == expected
    assert house.query("SELECT count(*) FROM events WHERE outcome = 'filtered'") == [(3 - len(expected),)]


def test_parameters_of_the_run_name_key_headers_and_offsets(broker: Broker, house: RunningEngine) -> None:
    topic, stamp = broker.create_topic(partitions=1), int(time.time()) * 1000
    broker.produce(topic, numbered([0, 1]), key=b"eu-1", headers=[("x-kind", b"sale")], timestamp_ms=stamp)
    parameters = {
        "key": "${events[0].attributes.kafka.key}",
        "kind": "${events[0].attributes.kafka.headers['x-kind']}",
        "first": "${string(events[0].attributes.kafka.offset)}",
        "stamp": "${string(int(events[1].attributes.kafka.timestamp))}",
        "parts": "${window.parts}",
        "count": "${string(window.events)}",
    }
    house.source(NAME, kafka(broker, topic), [rule(2, parameters=parameters)])
    until(lambda: house.query("SELECT 1 FROM runs"), "a run")
    ((told,),) = house.query("SELECT parameters FROM runs")
    given = json.loads(told)
    assert json.loads(given.pop("parts")) == {f"{topic}/0": {"first": 0, "last": 1}}
    wanted = {"key": "eu-1", "kind": "sale", "first": "0", "stamp": str(stamp // 1000), "count": "2"}
    assert given == wanted


def test_a_record_that_comes_twice_counts_once_by_its_own_id(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    settings = kafka(broker, topic, id="data.n", time="data.at")
    records = [json.dumps({"n": n, "at": 1_700_000_000 + n}).encode() for n in range(10)]
    for partition in range(3):
        broker.produce(topic, records, partition=partition)
    source = house.source(NAME, settings, [rule()])
    await_numbers(house, range(10))
    until(lambda: sum(parts(house).values()) == 30 and source.lag == 0, "all of them are stored")
    await_numbers(house, range(10))
    times = house.query("SELECT id, time FROM events ORDER BY cast(id AS integer)")
    assert times == [(str(n), 1_700_000_000.0 + n) for n in range(10)]


def test_without_an_id_two_records_are_two_events_however_alike(broker: Broker, house: RunningEngine) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered([7, 7, 7]))
    house.source(NAME, kafka(broker, topic), [rule()])
    await_numbers(house, [7, 7, 7])
