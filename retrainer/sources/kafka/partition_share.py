"""Which partitions this reader takes: all of them, or its share if several replicas read the source.

The consumer is no member of a consumer group: a group gives the partitions of a reader that was killed to nobody until
its session has run out, and lets one that starts wait for the next rebalance.
"""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from retrainer.sources.base import Overloaded
from retrainer.sources.kafka.positions import matching, partitions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kafka import KafkaConsumer, TopicPartition

    from retrainer.config.models import Topics
    from retrainer.sources.base import Intake
    from retrainer.util.clock import Clock

LOOK_EVERY = 1.0
"""Seconds between two renewals of a reader; a third of what the others wait for one."""


def share(partitions: Sequence[TopicPartition], readers: Sequence[str], reader: str) -> list[TopicPartition]:
    """Return every n-th partition, where n is the number of readers; none for somebody who is not among them."""
    if reader not in readers:
        return []
    return list(partitions[readers.index(reader) :: len(readers)])


class Share:
    """``mine`` are the partitions that were assigned to the consumer last."""

    def __init__(self, name: str, consumer: KafkaConsumer, topics: Topics, intake: Intake, clock: Clock) -> None:
        self.mine: frozenset[TopicPartition] = frozenset()
        self._name, self._consumer, self._topics, self._intake, self._clock = name, consumer, topics, intake, clock
        self._cluster = consumer._client.cluster  # noqa: SLF001 - nothing public asks for topics before they are assigned
        self._reader = secrets.token_hex(8)
        self._readers: Sequence[str] = ()
        self._renew_at = 0.0
        self._seen: tuple[object, Sequence[str]] | None = None
        self._follow_topics()

    def look(self, *, reachable: bool) -> bool:
        """Renew if it is time, unless brokers are not ``reachable``; return whether `mine` has changed."""
        if reachable and self._clock.monotonic() >= self._renew_at:
            self._renew()
        seen = (self._cluster._last_successful_refresh_ms, self._readers)  # noqa: SLF001 - as above
        if seen == self._seen:
            return False
        self._seen = seen
        mine = frozenset(share(self._partitions(), self._readers, self._reader))
        if mine == self.mine:
            return False
        self._assign(mine)
        return True

    def leave(self) -> None:
        """Let the others have these partitions at once; if the store does not answer, after a while."""
        with contextlib.suppress(Overloaded):
            self._intake.leave(self._name, self._reader)

    def _renew(self) -> None:
        self._renew_at = self._clock.monotonic() + LOOK_EVERY
        with contextlib.suppress(Overloaded):  # then the share stays what it is: claims keep readers apart
            self._readers = tuple(self._intake.readers(self._name, self._reader))

    def _partitions(self) -> list[TopicPartition]:
        topics = self._topics.topics
        if self._topics.topic_pattern is not None:
            topics = [topic for topic in self._cluster.topics() if matching(self._topics, topic)]
        return [tp for topic in sorted(topics) for tp in partitions_of(self._consumer, topic)]

    def _assign(self, mine: frozenset[TopicPartition]) -> None:
        if mine:
            self._consumer.assign(list(mine))
            self._cluster.set_topics(self._topics.topics)  # should `assign` leave those of its partitions alone
        else:
            self._consumer.unsubscribe()
            self._follow_topics()
        self.mine = mine

    def _follow_topics(self) -> None:
        """Have the metadata of all topics kept up to date, whether a partition of theirs is assigned or not."""
        self._cluster.need_all_topic_metadata = self._topics.topic_pattern is not None
        self._cluster.set_topics(self._topics.topics)
        self._cluster.request_update()
