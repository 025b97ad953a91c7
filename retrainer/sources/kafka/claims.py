"""Claims the assigned partitions, and halts those that must not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from kafka.errors import KafkaTimeoutError

from retrainer.sources.kafka.partitions import Part, park
from retrainer.sources.kafka.positions import PartitionLog, Positions, RetryLater, ask_logs, has_leader, topic_id_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka import KafkaConsumer, TopicPartition

    from retrainer.util.clock import Clock

AGAIN = 1.0
"""Seconds after which a lost partition, or one that could not be claimed, is retried."""
HALTED_AGAIN = 2.0
"""Seconds between checks whether an operator has decided about a halted partition."""
log = structlog.get_logger()


class PartitionClaims:
    def __init__(self, name: str, consumer: KafkaConsumer, positions: Positions, clock: Clock) -> None:
        self._name, self._consumer, self._positions, self._clock = name, consumer, positions, clock

    def claim_due(self, parts: Iterable[Part]) -> list[Part]:
        """Claim the partitions that are due. Return those that can be read now, from their stored position."""
        now = self._clock.monotonic()
        due = [part for part in parts if part.epoch is None and part.due <= now]
        ready = [part for part in due if self._ready(part)]
        if not ready:
            return []
        try:
            logs = ask_logs(self._consumer, [part.tp for part in ready])
            return [part for part in ready if self._claim(part, logs[part.tp])]
        except (KafkaTimeoutError, RetryLater) as error:
            for part in ready:
                if part.epoch is None:
                    self._postpone(part, str(error))
            return []

    def release(self, part: Part, wait: float = AGAIN) -> None:
        """Stop reading, and claim it again: another reader has claimed it, or its position is not the expected one."""
        park(self._consumer, part.tp)
        part.epoch = None
        part.due = self._clock.monotonic() + wait

    def cut(self, part: Part, reason: str) -> None:
        """Halt a partition whose log lost records that were read. It resumes only after a decision."""
        self.release(part, HALTED_AGAIN)
        part.cut = part.stored
        self._halt(part, reason)

    def _ready(self, part: Part) -> bool:
        try:
            topic_id_of(self._consumer, part.tp.topic)
        except RetryLater as error:
            return self._postpone(part, str(error))
        if not has_leader(self._consumer, part.tp):
            return self._postpone(part, f"{part.name} has no leader")
        return True

    def _postpone(self, part: Part, why: str) -> bool:
        part.waits, part.due = why, self._clock.monotonic() + AGAIN
        return False

    def _claim(self, part: Part, limits: PartitionLog) -> bool:
        topic_id = topic_id_of(self._consumer, part.tp.topic)
        claimed = self._positions.claim(part.tp, limits)
        if claimed.next is not None and claimed.next > limits.end:
            # The log was read before the store: another replica may have advanced in between.
            limits = ask_logs(self._consumer, [part.tp])[part.tp]
        same = claimed.topic_id == topic_id
        part.waits, part.topic_id, part.end = "", topic_id, limits.end
        part.stored = claimed.next if same else None
        trouble = self._positions.trouble(part.name, claimed, topic_id, limits)
        if part.stored is not None and part.stored > limits.end:
            part.cut = part.stored  # also if the log has grown since: it holds other records at these offsets now
        if not trouble and part.cut is not None and part.cut == claimed.next:
            trouble = part.halt
        if trouble or claimed.next is None:
            part.due = self._clock.monotonic() + HALTED_AGAIN
            self._halt(part, trouble)
            return False
        self._go(part, claimed.epoch, claimed.next)
        return True

    def _halt(self, part: Part, reason: str) -> None:
        if not part.halt:
            log.error("source.halted", source=self._name, partition=part.name, reason=reason)
        part.halt = reason

    def _go(self, part: Part, epoch: int, following: int) -> None:
        try:
            self._consumer.seek(part.tp, following)
        except (ValueError, KeyError):
            return  # no longer assigned to us
        if part.halt:
            log.info("source.resumed", source=self._name, partition=part.name, next=following)
        part.epoch, part.read, part.halt, part.cut = epoch, following, "", None


def moved(part: Part, stored: dict[str, int]) -> bool:
    """Return whether a partition that we hold was moved; `stored` has the current stored positions."""
    return part.epoch is not None and part.name in stored and stored[part.name] != part.stored


def recreated(consumer: KafkaConsumer, tp: TopicPartition, topic_id: str) -> bool:
    try:
        return topic_id_of(consumer, tp.topic) != topic_id
    except RetryLater:
        return False  # unknown while the topic does not exist, and nothing is read then
