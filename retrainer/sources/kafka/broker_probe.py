"""Checks whether brokers answer, by requesting metadata periodically without blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kafka.errors import BrokerResponseError

from retrainer.sources.kafka.consumer import LAST_WORDS
from retrainer.sources.kafka.positions import missing

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from retrainer.config.models import Topics
    from retrainer.util.clock import Clock

SILENCE = 4.0
"""Seconds without an answer after which brokers count as unreachable."""


class BrokerProbe:
    """The requests also discover new partitions and recreated topics."""

    def __init__(self, consumer: KafkaConsumer, client_id: str, topics: Topics, clock: Clock) -> None:
        self._cluster = consumer._client.cluster  # noqa: SLF001 - KafkaConsumer's own requests block on the response
        self._client_id, self._topics, self._clock = client_id, topics.topics, clock
        self._servers = ", ".join(topics.bootstrap_servers)
        self._request: Any = None
        self._requested_at = 0.0

    @property
    def silent(self) -> bool:
        """Whether no broker answers."""
        waits = self._request is not None and not self._request.is_done
        return waits and self._clock.monotonic() - self._requested_at >= SILENCE

    def look(self) -> str | None:
        """Return the current problem, and request metadata again unless a response is pending."""
        if self._request is None or self._request.is_done:
            problem = self._read() if self._request is not None else None
            self._request, self._requested_at = self._cluster.request_update(), self._clock.monotonic()
            if problem is None:
                LAST_WORDS.forget(self._client_id)
            return problem
        if not self.silent:
            return None
        return f"no broker of {self._servers} answers: {LAST_WORDS.of(self._client_id) or 'no connection'}"

    def _read(self) -> str | None:
        """Return the problem that the response shows."""
        error = self._request.exception
        if error is not None and not isinstance(error, BrokerResponseError):
            return f"cannot reach {self._servers}: {error}"
        for topic in self._topics:
            if topic in self._cluster.unauthorized_topics:
                return (
                    f"topic {topic} cannot be accessed: grant Describe and Read on it, or correct the source's topics"
                )
            if not self._cluster.partitions_for_topic(topic):
                return missing(topic)
        return None
