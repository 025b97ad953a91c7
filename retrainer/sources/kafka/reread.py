"""Reads topics again, independently of the group and of stored positions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrainer.sources.kafka.consumer import open_consumer
from retrainer.sources.kafka.positions import PartitionLog, ask_logs, matching, partitions_of, topic_id_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kafka import KafkaConsumer, TopicPartition
    from kafka.consumer.fetcher import ConsumerRecord

    from retrainer.config.models import Topics
    from retrainer.event import Event, Poison
    from retrainer.sources.kafka.records import Reader
    from retrainer.util.clock import Clock

PAGE = 500
POLL_MS = 200
ASK_MS = 10_000
CLIENT_ID = "retrainer-reread"


class Rereading:
    def __init__(self, topics: Topics, reader: Reader, clock: Clock, base_folder: Path) -> None:
        self._topics, self._reader, self._clock, self._base_folder = topics, reader, clock, base_folder

    def pages(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        """Yield up to 500 items at a time from all partitions, each in its order. End early once `stop` is set.

        A partition is read from its first record of `since` or later up to its first of `until` or later. Records in
        between with timestamps outside that range are skipped; records beyond are not searched. Raise Unreachable, and
        KafkaError while brokers do not answer.
        """
        with self._consumer() as consumer:
            limits = _limits(consumer, self._partitions(consumer), since, until)
            consumer.assign(list(limits))
            for tp, log in limits.items():
                consumer.seek(tp, log.begin)
            left = set(limits)
            while left and not stop.is_set():
                polled = consumer.poll(timeout_ms=POLL_MS, max_records=PAGE)
                for tp, records in polled.items():
                    wanted = [r for r in records if _within(r, limits[tp], since, until)]
                    if items := self._items(consumer, tp, wanted):
                        yield from (items[at : at + PAGE] for at in range(0, len(items), PAGE))
                ended = {tp for tp in left if consumer.position(tp) >= limits[tp].end}
                consumer.pause(*ended)
                left -= ended

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """See `KafkaSource.resolve`."""
        topic, _, number = part.rpartition("/")
        with self._consumer() as consumer:
            known = {f"{tp.topic}/{tp.partition}": tp for tp in self._partitions(consumer)}
            if part not in known:
                raise LookupError(f"there is no partition {number} of a topic {topic} among this source's topics")
            log = ask_logs(consumer, [known[part]])[known[part]]
            return topic_id_of(consumer, topic), _resolve(to, log)

    @contextmanager
    def _consumer(self) -> Iterator[KafkaConsumer]:
        consumer = open_consumer(self._topics, self._base_folder, CLIENT_ID, group=False)
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)

    def _partitions(self, consumer: KafkaConsumer) -> list[TopicPartition]:
        topics = [topic for topic in sorted(consumer.topics()) if matching(self._topics, topic)]
        return [tp for topic in topics for tp in partitions_of(consumer, topic)]

    def _items(
        self, consumer: KafkaConsumer, tp: TopicPartition, records: list[ConsumerRecord]
    ) -> list[Event | Poison]:
        return self._reader.items(records, topic_id_of(consumer, tp.topic), self._clock.now()) if records else []


def _limits(
    consumer: KafkaConsumer, partitions: list[TopicPartition], since: float, until: float
) -> dict[TopicPartition, PartitionLog]:
    """Return the offsets to read, of partitions that have any."""
    if not partitions:
        return {}
    logs = ask_logs(consumer, partitions)
    begins = _offsets(consumer, logs, since)
    ends = _offsets(consumer, logs, until)
    return {tp: PartitionLog(begins[tp], ends[tp]) for tp in partitions if begins[tp] < ends[tp]}


def _offsets(
    consumer: KafkaConsumer, logs: Mapping[TopicPartition, PartitionLog], time: float
) -> dict[TopicPartition, int]:
    found = consumer.offsets_for_times(dict.fromkeys(logs, max(0, int(time * 1000))), timeout_ms=ASK_MS)
    return {tp: log.end if found.get(tp) is None else found[tp].offset for tp, log in logs.items()}


def _within(record: ConsumerRecord, log: PartitionLog, since: float, until: float) -> bool:
    return bool(record.offset < log.end and since <= record.timestamp / 1000 < until)


def _resolve(to: str | int, log: PartitionLog) -> int:
    if to in ("earliest", "latest"):
        return log.begin if to == "earliest" else log.end
    if not isinstance(to, int):
        raise ValueError(f"{to!r} is neither earliest nor latest nor an offset")  # noqa: TRY004 - it is a value
    if not log.begin <= to <= log.end:
        raise ValueError(f"offset {to} is not in the log, which has {log.begin} to {log.end}")
    return to
