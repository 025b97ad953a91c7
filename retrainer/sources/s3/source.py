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

    from retrainer.config import models
    from retrainer.event import Event, Poison
    from retrainer.sources.base import SourceContext
    from retrainer.sources.kafka.source import KafkaSource
    from retrainer.sources.polling import PollingSource


@runtime_checkable
class Positioned(Protocol):
    """A channel with positions that an operator can move."""

    def resolve(self, part: str, to: str | int) -> tuple[str, int]: ...


def s3_source(context: SourceContext, config: models.S3Source) -> S3Source:
    """Create the configured source, not started."""
    every = config.sweep if context.sweeps else None
    sweep = None if every is None else Sweep(context, config, every)
    return S3Source(context.name, config, _channel(context, config), sweep)


def _channel(context: SourceContext, config: models.S3Source) -> PollingSource | None:
    """Return what receives notifications; None for those by webhook, which the web server receives."""
    if config.via.sqs is not None:
        return SqsChannel(context, config, config.via.sqs)
    if config.via.kafka is not None:
        return _kafka(context, config, config.via.kafka)
    return None


def _kafka(context: SourceContext, config: models.S3Source, topics: models.Topics) -> KafkaSource:
    from retrainer.sources.kafka.records import Reader  # noqa: PLC0415 - only what is used is loaded
    from retrainer.sources.kafka.session import IntakeTerms  # noqa: PLC0415 - only what is used is loaded
    from retrainer.sources.kafka.source import KafkaSource  # noqa: PLC0415 - only what is used is loaded

    reader = Reader(context.name, topics, NotificationFormat(config.key_encoding).parse)
    terms = IntakeTerms(config.identity_window, tracked=config.sweep is not None)
    return KafkaSource(context, topics, reader, terms)


class S3Source:
    """``channel`` is None for notifications by webhook."""

    def __init__(self, name: str, config: models.S3Source, channel: PollingSource | None, sweep: Sweep | None) -> None:
        self.name = name
        self._config, self._channel, self._sweep = config, channel, sweep
        self._workers = [worker for worker in (channel, sweep) if worker is not None]

    @property
    def last_error(self) -> str | None:
        return "; ".join(worker.last_error for worker in self._workers if worker.last_error) or None

    @property
    def errors(self) -> Mapping[Literal["kafka", "queue", "bucket"], str]:
        """The current problem for each server it uses; empty if there is none."""
        found: dict[Literal["kafka", "queue", "bucket"], str] = {}
        if self._channel is not None:
            found["queue" if self._config.via.sqs is not None else "kafka"] = self._channel.last_error or ""
        if self._sweep is not None:
            found["bucket"] = self._sweep.last_error or ""
        return found

    @property
    def poll_errors(self) -> int:
        return sum(worker.poll_errors for worker in self._workers)

    @property
    def lag(self) -> int | None:
        return self._channel.lag if self._channel is not None else None

    @property
    def lag_is_shared(self) -> bool:
        return self._channel is not None and self._channel.lag_is_shared

    @property
    def halted(self) -> Mapping[str, str]:
        return self._channel.halted if self._channel is not None else {}

    def start(self) -> None:
        for worker in self._workers:
            worker.start()

    def stop(self) -> None:
        for worker in self._workers:
            worker.stop()

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        """See `KafkaSource.resolve`. Raise ValueError for a channel without positions."""
        if not isinstance(self._channel, Positioned):
            raise ValueError(f"the notifications of source {self.name} have no positions that could be reset")  # noqa: TRY004
        return self._channel.resolve(part, to)

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
