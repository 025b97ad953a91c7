"""Avro in the Confluent wire format, with a registry that is unavailable at times."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import fastavro
import pytest

from tests.integration.kafka.kit import NAME, await_numbers, counted, kafka, parts, rule
from tests.integration.kafka.registry import Registry
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

ADDRESS = {"type": "record", "name": "shop.Address", "fields": [{"name": "city", "type": "string"}]}
ORDER = {
    "type": "record",
    "name": "shop.Order",
    "fields": [{"name": "n", "type": "long"}, {"name": "to", "type": "shop.Address"}],
}


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry()
    registry.subjects["address", 3] = {"schema": json.dumps(ADDRESS)}
    references = [{"name": "shop.Address", "subject": "address", "version": 3}]
    registry.schemas[1] = {"schema": json.dumps(ORDER), "references": references}
    yield registry
    registry.stop()


def avro(numbers: Iterable[int], schema: int = 1) -> list[bytes]:
    names: dict[str, Any] = {}
    fastavro.parse_schema(ADDRESS, names)
    parsed = fastavro.parse_schema(ORDER, names)
    written = []
    for n in numbers:
        body = io.BytesIO()
        fastavro.schemaless_writer(body, parsed, {"n": n, "to": {"city": "Köln"}})
        written.append(b"\0" + struct.pack(">I", schema) + body.getvalue())
    return written


def settings(broker: Broker, registry: Registry, topic: str) -> dict[str, Any]:
    return kafka(broker, topic, format="avro", schema_registry={"url": registry.url})


def test_records_are_read_by_the_schema_they_were_written_with(
    broker: Broker, house: RunningEngine, registry: Registry
) -> None:
    topic = broker.create_topic()
    broker.produce(topic, avro(range(100)))
    house.source(NAME, settings(broker, registry, topic), [rule(match={"to.city": "Köln"})])
    await_numbers(house, range(100))
    assert house.query("SELECT DISTINCT type, outcome FROM events") == [("shop.Order", "matched")]
    assert registry.asked == ["/schemas/ids/1", "/subjects/address/versions/3"]


def test_nothing_is_lost_while_the_registry_is_down(broker: Broker, house: RunningEngine, registry: Registry) -> None:
    topic = broker.create_topic()
    registry.stop()
    broker.produce(topic, avro(range(50)))
    source = house.source(NAME, settings(broker, registry, topic), [rule()])
    until(lambda: source.last_error and f"schema registry {registry.url}" in source.last_error, "it is told")
    assert not counted(house)
    assert sum(parts(house).values()) == 0
    registry.start()
    await_numbers(house, range(50))
    until(lambda: source.last_error is None, "nothing is wrong any more")
    assert not house.errors()


def test_what_no_schema_can_read_is_a_dead_letter_and_the_others_are_read(
    broker: Broker, house: RunningEngine, registry: Registry
) -> None:
    topic = broker.create_topic(partitions=1)
    broker.produce(topic, [*avro([1]), *avro([2], schema=404), b'{"n": 3}', avro([4])[0][:-2], *avro([5])])
    house.source(NAME, settings(broker, registry, topic), [rule()])
    await_numbers(house, [1, 5])
    until(lambda: parts(house) == {f"{topic}/0": 5}, "all are read")
    assert len(house.errors()) == 3
    assert "schema 404" in house.errors()[0]
