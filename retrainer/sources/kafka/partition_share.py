"""Decides which partitions this reader takes: all, or its share if several replicas read the source.

The consumer is not a member of a consumer group: a group leaves the partitions of a killed reader unassigned until its
session expires, and makes a starting one wait for the next rebalance.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from retrainer.sources.base import Intake, Overloaded
from retrainer.sources.kafka.positions import matching, partitions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kafka import KafkaConsumer, TopicPartition

    from retrainer.config.models import Topics
    from retrainer.util.clock import Clock

LOOK_EVERY = 1.0
"""Seconds between two renewals of a reader: a third of the time after which the others drop it."""


def share(partitions: Sequence[TopicPartition], readers: Sequence[str], reader: str) -> list[TopicPartition]:
    """Return every n-th partition, for n readers; none for a reader that is not among them."""
    if reader not in readers:
        return []
    return list(partitions[readers.index(reader) :: len(readers)])


class Share:
    """``assigned``: the partitions that are assigned to the consumer."""

    def __init__(self, name: str, consumer: KafkaConsumer, topics: Topics, intake: Intake, clock: Clock) -> None:
        self.assigned: frozenset[TopicPartition] = frozenset()
        self._name, self._consumer, self._topics, self._intake, self._clock = name, consumer, topics, intake, clock
        self._cluster = consumer._client.cluster  # noqa: SLF001 - no public API requests topics before assignment
        self._reader = secrets.token_hex(8)
        self._readers: Sequence[str] = ()
        self._renew_at = 0.0
        self._seen: tuple[object, Sequence[str]] | None = None
        self._follow_topics()

    def look(self, *, reachable: bool) -> bool:
        """Renew this reader if it is time and brokers are ``reachable``. Return whether `assigned` has changed."""
        if reachable and self._clock.monotonic() >= self._renew_at:
            self._renew()
        seen = (self._cluster._last_successful_refresh_ms, self._readers)  # noqa: SLF001 - as above
        if seen == self._seen:
            return False
        self._seen = seen
        assigned = frozenset(share(self._partitions(), self._readers, self._reader))
        if assigned == self.assigned:
            return False
        self._assign(assigned)
        return True

    def leave(self) -> None:
        """Leave these partitions to the other readers: at once, or after a timeout if the store does not answer."""
        with contextlib.suppress(Overloaded):
            self._intake.leave(self._name, self._reader)

    def _renew(self) -> None:
        self._renew_at = self._clock.monotonic() + LOOK_EVERY
        with contextlib.suppress(Overloaded):  # then the share stays as it is; claims prevent double reads
            self._readers = tuple(self._intake.readers(self._name, self._reader))

    def _partitions(self) -> list[TopicPartition]:
        topics = self._topics.topics
        if self._topics.topic_pattern is not None:
            topics = [topic for topic in self._cluster.topics() if matching(self._topics, topic)]
        return [tp for topic in sorted(topics) for tp in partitions_of(self._consumer, topic)]

    def _assign(self, assigned: frozenset[TopicPartition]) -> None:
        if assigned:
            self._consumer.assign(list(assigned))
            self._cluster.set_topics(self._topics.topics)  # in case `assign` keeps only those of the partitions
        else:
            self._consumer.unsubscribe()
            self._follow_topics()
        self.assigned = assigned

    def _follow_topics(self) -> None:
        """Keep the metadata of all topics up to date, also of those without an assigned partition."""
        self._cluster.need_all_topic_metadata = self._topics.topic_pattern is not None
        self._cluster.set_topics(self._topics.topics)
        self._cluster.request_update()
