"""Commits stored positions to the consumer group periodically, for displays of the lag. Nothing depends on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kafka import KafkaConsumer, TopicPartition

    from retrainer.sources.kafka.partitions import Part
    from retrainer.util.clock import Clock

EVERY = 5.0
TELL_ALL_EVERY = 3600.0
"""Seconds after which all positions are committed again: brokers expire old commits of a group without members."""
LAST_MS = 1000
log = structlog.get_logger()


class Commits:
    def __init__(self, name: str, consumer: KafkaConsumer, clock: Clock) -> None:
        self._name, self._consumer, self._clock = name, consumer, clock
        self._due = self._tell_all_at = 0.0
        self._committed: dict[TopicPartition, int] = {}

    def tell(self, parts: Iterable[Part], *, now: bool = False) -> None:
        """Commit what changed if it is time, or if `now`. Do not wait for the response."""
        if not now and self._clock.monotonic() < self._due:
            return
        self._due = self._clock.monotonic() + EVERY
        self._forget_what_was_told()
        if news := self._news(parts):
            try:
                self._consumer.commit_async(news, callback=self._answered)
            except KafkaError as error:
                self._answered(news, error)

    def tell_last(self, parts: Iterable[Part]) -> None:
        """Commit what changed, and wait at most `LAST_MS` for the response."""
        if news := self._news(parts):
            try:
                self._consumer.commit(news, timeout_ms=LAST_MS)
            except KafkaError as error:
                log.debug("kafka.not_committed", source=self._name, error=str(error))

    def _forget_what_was_told(self) -> None:
        if self._clock.monotonic() >= self._tell_all_at:
            self._tell_all_at = self._clock.monotonic() + TELL_ALL_EVERY
            self._committed.clear()

    def _news(self, parts: Iterable[Part]) -> dict[TopicPartition, OffsetAndMetadata]:
        stored = {part.tp: part.stored for part in parts if part.stored is not None}
        news = {
            tp: OffsetAndMetadata(next_, "", -1) for tp, next_ in stored.items() if self._committed.get(tp) != next_
        }
        self._committed.update({tp: stored[tp] for tp in news})
        return news

    def _answered(self, offsets: Iterable[TopicPartition], answer: object) -> None:
        """On an error, commit again next time: an idle topic would show a lag for ever."""
        if isinstance(answer, Exception):
            log.debug("kafka.not_committed", source=self._name, error=str(answer))
            for tp in offsets:
                self._committed.pop(tp, None)
