"""Whether brokers answer: the metadata is asked for again and again, without waiting for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.sources.kafka.consumer import LAST_WORDS

if TYPE_CHECKING:
    from kafka import KafkaConsumer

    from retrainer.clock import Clock

SILENCE = 4.0
"""Seconds without an answer after which brokers count as unreachable."""


class Reach:
    """Asking also brings new partitions, and topics that were made anew, to our notice."""

    def __init__(self, consumer: KafkaConsumer, client_id: str, servers: list[str], clock: Clock) -> None:
        self._cluster = consumer._client.cluster  # noqa: SLF001 - KafkaConsumer's own requests wait for the answer
        self._client_id, self._servers, self._clock = client_id, ", ".join(servers), clock
        self._asked: Any = None
        self._asked_at = 0.0

    def look(self) -> str | None:
        """Return what is wrong, and ask again unless an answer is still to come."""
        if self._asked is None or self._asked.is_done:
            failed = self._asked is not None and self._asked.failed()
            said = f"cannot reach {self._servers}: {self._asked.exception}" if failed else None
            self._asked, self._asked_at = self._cluster.request_update(), self._clock.monotonic()
            if said is None:
                LAST_WORDS.forget(self._client_id)
            return said
        if self._clock.monotonic() - self._asked_at < SILENCE:
            return None
        return f"no broker of {self._servers} answers: {LAST_WORDS.of(self._client_id) or 'no connection'}"
