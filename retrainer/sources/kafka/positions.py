"""Where a partition is read from: claimed in the store, compared with the log, never reset silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from kafka import KafkaConsumer, TopicPartition

from retrainer.rules.cel.pattern import matches_whole
from retrainer.sources.kafka.partitions import part_name
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.config.models import StartAt, Topics
    from retrainer.sources.base import Claimed, Intake

ASK_MS = 5000
NO_ID = UUID(int=0)


class RetryLater(Exception):
    """A partition cannot be claimed now. The message says why."""


@dataclass(frozen=True, slots=True)
class PartitionLog:
    """The offsets that the broker has of a partition: from ``begin`` up to, not including, ``end``."""

    begin: int
    end: int


def missing(topic: str) -> str:
    """Return the message for a missing topic."""
    return f"topic {topic} does not exist: create it, or correct the source's topics"


def topic_id_of(consumer: KafkaConsumer, topic: str) -> str:
    """Return the topic's id, "" from brokers without ids. Raise Later while the topic is not known."""
    cluster = consumer._client.cluster  # noqa: SLF001 - no public API returns a topic's id
    if not cluster.partitions_for_topic(topic):
        raise RetryLater(missing(topic))
    known: UUID | None = cluster.topic_id(topic)
    return "" if known is None or known == NO_ID else str(known)


def partitions_of(consumer: KafkaConsumer, topic: str) -> list[TopicPartition]:
    """Return the partitions by the last metadata; none for an unknown topic."""
    cluster = consumer._client.cluster  # noqa: SLF001 - KafkaConsumer's own method may block on a broker request
    return [TopicPartition(topic, number) for number in sorted(cluster.partitions_for_topic(topic) or ())]


def has_leader(consumer: KafkaConsumer, tp: TopicPartition) -> bool:
    leader = consumer._client.cluster.leader_for_partition(tp)  # noqa: SLF001 - as above
    return leader is not None and leader >= 0


def ask_logs(consumer: KafkaConsumer, parts: Sequence[TopicPartition]) -> dict[TopicPartition, PartitionLog]:
    """Request where logs begin and end. Raise KafkaTimeoutError."""
    begins = consumer.beginning_offsets(list(parts), timeout_ms=ASK_MS)
    ends = consumer.end_offsets(list(parts), timeout_ms=ASK_MS)
    return {tp: PartitionLog(begins[tp], ends[tp]) for tp in parts}


def ask_start(
    consumer: KafkaConsumer, logs: dict[TopicPartition, PartitionLog], start: Literal["earliest", "latest"] | StartAt
) -> dict[TopicPartition, int]:
    """Return the start offsets by a start policy. Raise KafkaTimeoutError."""
    if start == "earliest":
        return {tp: log.begin for tp, log in logs.items()}
    if start == "latest":
        return {tp: log.end for tp, log in logs.items()}
    since = epoch(start.timestamp)
    found = consumer.offsets_for_times(dict.fromkeys(logs, max(0, int(since * 1000))), timeout_ms=ASK_MS)
    return {tp: log.end if found.get(tp) is None else found[tp].offset for tp, log in logs.items()}


class Positions:
    """Claims partitions for one source."""

    def __init__(
        self, name: str, consumer: KafkaConsumer, intake: Intake, start: Literal["earliest", "latest"] | StartAt
    ) -> None:
        self._name, self._consumer, self._intake, self._start = name, consumer, intake, start

    def claim(self, tp: TopicPartition, log: PartitionLog) -> Claimed:
        """Claim a partition; ``next`` of the result is set. Raise Later."""
        topic_id = topic_id_of(self._consumer, tp.topic)
        claimed = self._intake.claim(self._name, part_name(tp), topic_id)
        if claimed.next is not None:
            return claimed
        if part_name(TopicPartition(tp.topic, 0)) in self._intake.parts(self._name):
            return self._intake.claim(self._name, part_name(tp), topic_id, log.begin)
        self._enter(tp.topic, topic_id)
        return self._intake.claim(self._name, part_name(tp), topic_id, log.begin)

    def _enter(self, topic: str, topic_id: str) -> None:
        """Create all partitions of a topic that was never read, with positions by the start policy.

        This includes partitions of other readers: they must not take them for partitions that were added later. A topic
        counts as known by its first partition, which is created last: two consumers at once then both use the policy.
        """
        partitions = partitions_of(self._consumer, topic)
        starts = ask_start(self._consumer, ask_logs(self._consumer, partitions), self._start)
        for tp in reversed(partitions):
            self._intake.claim(self._name, part_name(tp), topic_id, starts[tp])

    def trouble(self, part: str, claimed: Claimed, topic_id: str, log: PartitionLog) -> str:
        """Return why a partition must not be read on, with the remedy; "" if nothing is wrong."""
        if claimed.topic_id != topic_id:
            reason = f"the topic was recreated: its id was {claimed.topic_id or 'unknown'}, now it is {topic_id}"
        elif claimed.next is not None and claimed.next < log.begin:
            reason = f"records {claimed.next} to {log.begin - 1} are gone (expired or deleted) and were never read"
        elif claimed.next is not None and claimed.next > log.end:
            reason = f"the log ends at {log.end}, before {claimed.next}, the next offset to read: it was truncated"
        else:
            return ""
        decide = f"retrainer sources reset {self._name} --partition {part} --to earliest|latest|OFFSET"
        return f"{reason}; decide with `{decide}`"


def matching(topics: Topics, topic: str) -> bool:
    """Return whether a source reads a topic."""
    if topics.topic_pattern is not None:
        return matches_whole(topic, topics.topic_pattern)
    return topic in topics.topics
