"""A source that reads topics in its own thread, and recovers by itself from broker failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.sources.formats.registry import parser
from retrainer.sources.kafka.consumer import LAST_WORDS, BrokerUnreachable, client_id_of, open_consumer
from retrainer.sources.kafka.records import Reader
from retrainer.sources.kafka.reread import Rereading
from retrainer.sources.kafka.session import IntakeTerms, KafkaSession
from retrainer.sources.polling import PollingSource
from retrainer.sources.schemas import SchemaRegistryClient
from retrainer.util.counts import many
from retrainer.util.error_text import words
from retrainer.util.supervision import beat

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from retrainer.config.models import KafkaSource as KafkaConfig
    from retrainer.config.models import Topics
    from retrainer.event import Event, Poison
    from retrainer.sources.base import SourceContext

BACK_OFF = (0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to connect; the last value repeats."""
MEASURE_EVERY = 0.5


def kafka_source(context: SourceContext, config: KafkaConfig) -> KafkaSource:
    """Create the configured source. Raise ValueError if one of its expressions does not compile."""
    by_place = config.format in ("json", "avro") and config.id is None
    terms = IntakeTerms(0.0 if by_place else config.identity_window)
    registry = config.schema_registry
    schemas = SchemaRegistryClient(registry, context.base_folder) if registry is not None else None
    reader = Reader(context.name, config, parser(config, schemas))
    return KafkaSource(context, config, reader, terms, schemas.close if schemas is not None else None)


class KafkaSource(PollingSource):
    """Reads its share of the partitions, each from its stored position.

    A poll lasts until a session with the brokers ends. ``on_stop`` is called once the thread has ended.
    """

    _LOG_EVENT = "kafka.trouble"
    _GRACE = 6.0

    def __init__(
        self,
        context: SourceContext,
        topics: Topics,
        reader: Reader,
        terms: IntakeTerms,
        on_stop: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(context)
        self._lag: int | None = None
        self._halted: Mapping[str, str] = {}
        self._context, self._topics, self._reader, self._terms = context, topics, reader, terms
        self._on_stop = on_stop
        self._measure_at = 0.0

    @property
    def lag(self) -> int | None:
        return self._lag

    @property
    def halted(self) -> Mapping[str, str]:
        return self._halted

    def start(self) -> None:
        LAST_WORDS.forget(client_id_of(self.name))  # they refer to other settings
        super().start()

    def stop(self) -> None:
        super().stop()
        if self._on_stop is not None:
            self._on_stop()

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        """Read records again with timestamps from `since` to before `until`, in seconds since the epoch."""
        return self._rereading().pages(since, until, stop)

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """Return the topic's id, and the offset that `earliest`, `latest` or an offset means for a partition.

        Raise ValueError for an offset that is not in the log, LookupError for an unknown partition, or Unreachable.
        """
        return self._rereading().resolve(part, to)

    def _rereading(self) -> Rereading:
        return Rereading(self._topics, self._reader, self._clock, self._context.base_folder)

    def _pause(self) -> float:
        return BACK_OFF[min(self._failures, len(BACK_OFF)) - 1] if self._failures else 0.0

    def _in_words(self, error: Exception) -> str:
        return str(error) if isinstance(error, (BrokerUnreachable, ValueError)) else words(error)

    def _poll(self) -> None:
        """Run a session until this source is stopped or the session fails, then close it."""
        consumer = open_consumer(self._topics, self._context.base_folder, client_id_of(self.name))
        session = KafkaSession(self._context, self._topics, consumer, self._reader, self._terms)
        self._failures = 0
        errors = self.poll_errors
        try:
            while not self._stop.is_set():
                beat()
                session.turn()
                self.poll_errors = errors + session.errors
                self._show(session)
        finally:
            session.close()

    def _show(self, session: KafkaSession) -> None:
        now = self._clock.monotonic()
        if now >= self._measure_at:
            self._measure_at = now + MEASURE_EVERY
            self._lag = session.measure()
            self._halted = {part.name: part.halt for part in session.parts.values() if part.halt}
        self._show_trouble(session.trouble or _summary(self._halted))


def _summary(halted: Mapping[str, str]) -> str | None:
    if not halted:
        return None
    part, reason = next(iter(halted.items()))
    return f"{many(len(halted), 'partition')} halted; {part}: {reason}"
