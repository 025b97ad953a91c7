"""A source that reads topics in its own thread, and recovers by itself from broker failures."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.formats.registry import parser
from retrainer.sources.kafka.consumer import LAST_WORDS, BrokerUnreachable, open_consumer
from retrainer.sources.kafka.records import Reader
from retrainer.sources.kafka.reread import Rereading
from retrainer.sources.kafka.session import IntakeTerms, KafkaSession
from retrainer.sources.schemas import SchemaRegistryClient
from retrainer.util.error_text import words
from retrainer.util.supervision import Worker, beat, rest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from retrainer.config.models import KafkaSource as KafkaConfig
    from retrainer.config.models import Topics
    from retrainer.event import Event, Poison
    from retrainer.sources.base import Intake
    from retrainer.util.clock import Clock

BACK_OFF = (0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts to connect; the last value repeats."""
PATIENCE = 6.0
MEASURE_EVERY = 0.5
log = structlog.get_logger()


def kafka_source(name: str, config: KafkaConfig, intake: Intake, clock: Clock, base_folder: Path) -> KafkaSource:
    """Create the configured source. Raise ValueError if one of its expressions does not compile."""
    by_place = config.format in ("json", "avro") and config.id is None
    window = 0.0 if by_place else config.identity_window
    registry = config.schema_registry
    schemas = SchemaRegistryClient(registry, base_folder) if registry is not None else None
    reader = Reader(name, config, parser(config, schemas))
    on_stop = schemas.close if schemas is not None else _nothing
    return KafkaSource(name, config, reader, IntakeTerms(window), intake, clock, base_folder, on_stop)


def _nothing() -> None:
    pass


class KafkaSource:
    """Reads its share of the partitions, each from its stored position."""

    def __init__(
        self,
        name: str,
        topics: Topics,
        reader: Reader,
        terms: IntakeTerms,
        intake: Intake,
        clock: Clock,
        base_folder: Path,
        on_stop: Callable[[], None] = _nothing,
    ) -> None:
        self.name = name
        self.last_error: str | None = None
        self.poll_errors = 0
        self.lag: int | None = None
        self.halted: Mapping[str, str] = {}
        self._topics, self._reader, self._terms = topics, reader, terms
        self._intake, self._clock, self._base_folder, self._on_stop = intake, clock, base_folder, on_stop
        self._client_id = f"retrainer-{name}"
        self._measure_at = 0.0
        self._stop = threading.Event()
        self._thread = Worker("source", self._run, self._stop.is_set, name=f"source-{name}", owner=name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        self._on_stop()

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        """Read records again with timestamps from `since` to before `until`, in seconds since the epoch."""
        return Rereading(self._topics, self._reader, self._clock, self._base_folder).pages(since, until, stop)

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """Return the topic's id, and the offset that `earliest`, `latest` or an offset means for a partition.

        Raise ValueError for an offset that is not in the log, LookupError for an unknown partition, or Unreachable.
        """
        return Rereading(self._topics, self._reader, self._clock, self._base_folder).resolve(part, to)

    def _run(self) -> None:
        failures = 0
        LAST_WORDS.forget(self._client_id)  # they refer to other settings
        while not self._stop.is_set():
            beat()
            try:
                session = self._open()
                failures = 0
                self._follow(session)
            except Exception as error:  # noqa: BLE001 - whatever it is, a new session may succeed
                self._troubled(str(error) if isinstance(error, (BrokerUnreachable, ValueError)) else words(error))
                rest(self._stop, BACK_OFF[min(failures, len(BACK_OFF) - 1)])
                failures += 1

    def _open(self) -> KafkaSession:
        consumer = open_consumer(self._topics, self._base_folder, self._client_id)
        return KafkaSession(
            self.name, self._client_id, self._topics, consumer, self._reader, self._terms, self._intake, self._clock
        )

    def _follow(self, session: KafkaSession) -> None:
        """Run the session until this source is stopped or the session fails, then close it."""
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
            self.lag = session.measure()
            self.halted = {part.name: part.halt for part in session.parts.values() if part.halt}
        self._say(session.trouble or _summary(self.halted))

    def _troubled(self, error: str) -> None:
        self.poll_errors += 1
        self._say(error)

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.last_error:
            log.warning("kafka.trouble", source=self.name, error=trouble)
        self.last_error = trouble


def _summary(halted: Mapping[str, str]) -> str | None:
    if not halted:
        return None
    part, reason = next(iter(halted.items()))
    return f"{len(halted)} of its partitions are halted; {part}: {reason}"
