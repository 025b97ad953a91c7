"""Converts records into events or dead letters."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from retrainer.event import Event, Poison
from retrainer.sources.formats.payload import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka.consumer.fetcher import ConsumerRecord

    from retrainer.config.models import Topics

Parse = Callable[[Delivery], tuple[Event | Poison, ...]]


class Reader:
    """Reads records of one source. Unreadable records are identified by position: equal ones are two dead letters."""

    def __init__(self, name: str, topics: Topics, parse: Parse) -> None:
        self._name, self._parse = name, parse
        self._max = topics.max_record
        self._ignore_tombstones = topics.tombstones == "ignore"

    def items(self, records: Iterable[ConsumerRecord], topic_id: str, now: float) -> list[Event | Poison]:
        """Parse records of one partition; ``now`` is in seconds since the epoch."""
        items: list[Event | Poison] = []
        for record in records:
            value = record.value
            if value is None:
                if not self._ignore_tombstones:
                    items.append(self._poison(record, topic_id, b"", "a tombstone: the record has no value"))
            elif len(value) > self._max:
                reason = f"{len(value)} bytes, at most {self._max} are allowed (max_record)"
                items.append(self._poison(record, topic_id, value[: self._max], reason))
            elif (beside := _beside(record)) > self._max:
                reason = f"{beside} bytes of key and headers, at most {self._max} are allowed (max_record)"
                items.append(self._poison(record, topic_id, value, reason))
            else:
                items.extend(self._read(record, topic_id, now))
        return items

    def _read(self, record: ConsumerRecord, topic_id: str, now: float) -> Iterable[Event | Poison]:
        delivery = self.delivery(record, topic_id, now)
        items = self._parse(delivery)
        if len(items) == 1 and isinstance(items[0], Poison):
            return (self._poison(record, topic_id, items[0].payload, items[0].error),)
        return items

    def delivery(self, record: ConsumerRecord, topic_id: str, now: float) -> Delivery:
        headers = {name.lower(): _text(value) for name, value in record.headers} if record.headers else {}
        timestamp = record.timestamp / 1000 if record.timestamp is not None and record.timestamp >= 0 else None
        place: dict[str, Any] = {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": timestamp,
            "headers": headers,
        }
        if record.key is not None:
            _put_key(place, record.key)
        return Delivery(
            self._name,
            record.value,
            now,
            _identity(record, topic_id),
            headers,
            self._max,
            time=timestamp,
            record=place,
        )

    def _poison(self, record: ConsumerRecord, topic_id: str, payload: bytes, error: str) -> Poison:
        where = f"{record.topic}/{record.partition} offset {record.offset}"
        return Poison(self._name, _identity(record, topic_id), payload, f"{error} ({where})")


def _beside(record: ConsumerRecord) -> int:
    """Return the bytes of key and headers, which are stored with each event of the record."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers or ())
    return len(record.key or b"") + headers


def _identity(record: ConsumerRecord, topic_id: str) -> str:
    return f"{topic_id or record.topic}:{record.partition}:{record.offset}"


def _put_key(place: dict[str, Any], key: bytes) -> None:
    """Store text as `key`, and what is not UTF-8 as `key_base64`."""
    try:
        place["key"] = key.decode()
    except UnicodeDecodeError:
        place["key_base64"] = base64.b64encode(key).decode()


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")
