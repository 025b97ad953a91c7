"""Conversion of Kafka records to events."""

from __future__ import annotations

import pytest
from kafka.consumer.fetcher import ConsumerRecord

from retrainer.config.models import Topics
from retrainer.event import Event, Poison
from retrainer.sources.formats.json import JsonFormat
from retrainer.sources.kafka.records import Reader

MOST = 1000
TOPICS = Topics(bootstrap_servers=["broker:9092"], topics=["t"], group_id="g", max_record=f"{MOST}B")


def record(
    value: bytes = b"{}", key: bytes | None = None, headers: tuple[tuple[str, bytes | None], ...] = ()
) -> ConsumerRecord:
    return ConsumerRecord("t", 0, -1, 7, 1_760_000_000_000, 0, key, value, list(headers), None, -1, len(value), -1)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        pytest.param(record(b"x" * (MOST + 1)), "1001 bytes, at most 1000 are allowed", id="a value"),
        pytest.param(record(key=b"k" * (MOST + 1)), "1001 bytes of key and headers, at most 1000", id="a key"),
        pytest.param(record(headers=(("h", b"x" * MOST),)), "1001 bytes of key and headers", id="a header"),
        pytest.param(record(headers=(("h" * 600, None), ("i" * 600, b""))), "1200 bytes of key", id="names of headers"),
    ],
)
def test_what_is_larger_than_is_taken_is_a_dead_letter(one: ConsumerRecord, said: str) -> None:
    (item,) = Reader("kafka", TOPICS, JsonFormat().parse).items([one], "", 1_760_000_000.0)
    assert isinstance(item, Poison)
    assert said in item.error
    assert item.error.endswith("(t/0 offset 7)")


def test_what_is_just_as_large_is_an_event() -> None:
    one = record(b'{"a": "' + b"x" * (MOST - 9) + b'"}', b"k" * 500, (("h", b"\xff" * 499),))
    (item,) = Reader("kafka", TOPICS, JsonFormat().parse).items([one], "", 1_760_000_000.0)
    assert isinstance(item, Event)
    assert item.record["headers"] == {"h": "\ufffd" * 499}
