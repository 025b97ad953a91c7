"""Metrics of each source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.telemetry.exposition import Families
from retrainer.telemetry.series import EventCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from retrainer.telemetry.exposition import Exposition


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What is known about the sources at a scrape, by name. Times are epoch seconds (UTC)."""

    up: Mapping[str, bool] = field(default_factory=dict)
    """Whether each source works."""
    lag: Mapping[str, int] = field(default_factory=dict)
    """Records that have not been read yet, for sources that can tell."""
    halted: Mapping[str, int] = field(default_factory=dict)
    """Partitions that are not read until an operator decides how to continue, for sources with partitions."""
    last_event: Mapping[str, float] = field(default_factory=dict)
    """When each source last reported something."""
    silent: Mapping[str, bool] = field(default_factory=dict)
    """For each source with `max_silence`, whether it has been silent for longer."""
    poll_errors: Mapping[str, int] = field(default_factory=dict)


class SourceMetrics:
    """Counted when something happens: events by outcome. Computed at a scrape: what `SourceStatus` has."""

    def __init__(self, exposition: Exposition) -> None:
        source = self._sources = Families[SourceStatus](exposition, "source")
        self._events = exposition.add(EventCounts(source.owners))
        self._last_event = source.gauge(
            "source_last_event_timestamp_seconds", "Time at which the last event of the source arrived."
        )
        self._poll_errors = source.counter("source_poll_errors", "Failed polls of the source.")
        source.gauge_of("source_up", "Whether the source works.", lambda seen: seen.up)
        source.gauge_of("source_lag", "Records that wait to be read.", lambda seen: seen.lag)
        source.gauge_of("source_halted_partitions", "Partitions that wait for an operator.", lambda seen: seen.halted)
        source.gauge_of("source_silent", "Whether no event arrived within max_silence.", lambda seen: seen.silent)

    def collect(self, seen: SourceStatus) -> None:
        self._sources.collect(seen)
        for source, at in seen.last_event.items():
            self._last_event.raise_to(source, at)
        for source, errors in seen.poll_errors.items():
            self._poll_errors.set(source, errors)

    def configured(self, sources: Iterable[str]) -> None:
        """Export the series of these sources, and remove all others."""
        names = self._sources.keep_only(sources)
        self._events.keep_only(names)
        for source in names:
            self._events.start_at_zero(source)
            self._poll_errors.start_at_zero(source, ())

    def event_outcome(self, source: str, outcome: str, count: int, now: float) -> None:
        """Count events of a source by outcome, one of OUTCOMES. Raise KeyError for another outcome."""
        self._events.add(source, outcome, count)
        self._last_event.raise_to(source, now)
