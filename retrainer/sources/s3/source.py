"""The S3 source: a channel for notifications, and a sweep that finds those that were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.s3.listing import BucketListing, distinct
from retrainer.sources.s3.sqs import SqsChannel
from retrainer.sources.s3.sweep import Sweep

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from retrainer.config import models
    from retrainer.event import Event, Poison
    from retrainer.sources.base import Intake
    from retrainer.sources.kafka.source import KafkaSource
    from retrainer.util.clock import Clock


class Channel(Protocol):
    """Receives notifications in a thread. Those by webhook are received by the web server."""

    @property
    def last_error(self) -> str | None: ...
    @property
    def poll_errors(self) -> int: ...
    @property
    def lag(self) -> int | None: ...
    @property
    def halted(self) -> Mapping[str, str]: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@runtime_checkable
class Positioned(Protocol):
    """A channel with positions that an operator can move."""

    def resolve(self, part: str, to: str | int) -> tuple[str, int]: ...


def s3_source(
    name: str, config: models.S3Source, intake: Intake, clock: Clock, base_folder: Path, *, sweeps: bool
) -> S3Source:
    """Create the configured source, not started, with its sweep if ``sweeps``."""
    return S3Source(name, config, _road(name, config, intake, clock, base_folder), intake, clock, sweeps=sweeps)


def _road(name: str, config: models.S3Source, intake: Intake, clock: Clock, base_folder: Path) -> Channel | None:
    if config.via.sqs is not None:
        return SqsChannel(name, config, config.via.sqs, intake, clock)
    if config.via.kafka is not None:
        return _kafka(name, config, config.via.kafka, intake, clock, base_folder)
    return None


def _kafka(
    name: str, config: models.S3Source, topics: models.Topics, intake: Intake, clock: Clock, base_folder: Path
) -> KafkaSource:
    from retrainer.sources.kafka.records import Reader  # noqa: PLC0415 - only what is used is loaded
    from retrainer.sources.kafka.session import IntakeTerms  # noqa: PLC0415 - only what is used is loaded
    from retrainer.sources.kafka.source import KafkaSource  # noqa: PLC0415 - only what is used is loaded

    reader = Reader(name, topics, NotificationFormat(config.key_encoding).parse)
    terms = IntakeTerms(config.identity_window, tracked=config.sweep is not None)
    return KafkaSource(name, topics, reader, terms, intake, clock, base_folder)


class S3Source:
    """``road`` (the channel) is None for notifications by webhook."""

    def __init__(
        self, name: str, config: models.S3Source, road: Channel | None, intake: Intake, clock: Clock, *, sweeps: bool
    ) -> None:
        self.name = name
        self._config, self._road = config, road
        listed = config.sweep if sweeps else None
        self._sweep = None if listed is None else Sweep(name, config, listed, intake, clock)
        self._parts = [part for part in (road, self._sweep) if part is not None]

    @property
    def last_error(self) -> str | None:
        return "; ".join(part.last_error for part in self._parts if part.last_error) or None

    @property
    def errors(self) -> Mapping[Literal["kafka", "queue", "bucket"], str]:
        """The current problem for each server it uses; empty if there is none."""
        found: dict[Literal["kafka", "queue", "bucket"], str] = {}
        if self._road is not None:
            found["queue" if self._config.via.sqs is not None else "kafka"] = self._road.last_error or ""
        if self._sweep is not None:
            found["bucket"] = self._sweep.last_error or ""
        return found

    @property
    def poll_errors(self) -> int:
        return sum(part.poll_errors for part in self._parts)

    @property
    def lag(self) -> int | None:
        return self._road.lag if self._road is not None else None

    @property
    def halted(self) -> Mapping[str, str]:
        return self._road.halted if self._road is not None else {}

    def start(self) -> None:
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        for part in self._parts:
            part.stop()

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """See `KafkaSource.resolve`. Raise ValueError for a channel without positions."""
        if not isinstance(self._road, Positioned):
            raise ValueError(f"the notifications of source {self.name} have no positions that could be reset")  # noqa: TRY004
        return self._road.resolve(part, to)

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        """List the buckets: yield, page by page, objects last modified from `since` to before `until`.

        Both are in seconds since the epoch. The source need not be started. Raise Unavailable if a bucket cannot be
        listed.
        """
        listing = BucketListing(self._config)
        try:
            for bucket in distinct(self._config.buckets):
                for page in listing.pages(bucket):
                    if stop.is_set():
                        return
                    events: list[Event | Poison] = [
                        listing.event(self.name, found) for found in page if since <= found.modified < until
                    ]
                    if events:
                        yield events
        finally:
            listing.close()
