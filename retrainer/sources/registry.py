"""The one list of source types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

from retrainer.config import models
from retrainer.sources.directory import DirectorySource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from retrainer.sources.base import Intake, Source
    from retrainer.sources.http.hook import Served
    from retrainer.util.clock import Clock

# Sources with threads of their own. Webhooks are served by the web server, all of them by one `Webhooks`.
Threaded = models.DirectorySource | models.S3Source | models.KafkaSource | models.PrometheusSource


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source to run. ``sweeps``: an S3 source lists its buckets as well, which one replica does for all."""

    config: Threaded
    sweeps: bool


def build(
    name: str, config: Threaded, intake: Intake, clock: Clock, base_folder: Path, *, sweeps: bool = True
) -> Source:
    """Make the source that a configuration describes; relative paths are seen from `base_folder`. It is not started."""
    if isinstance(config, models.DirectorySource):
        return DirectorySource(name, config, intake, clock, base_folder)
    if isinstance(config, models.KafkaSource):
        from retrainer.sources.kafka import kafka_source  # noqa: PLC0415 - only what is used is loaded

        return kafka_source(name, config, intake, clock, base_folder)
    if isinstance(config, models.PrometheusSource):
        from retrainer.sources.prometheus import prometheus_source  # noqa: PLC0415 - only what is used is loaded

        return prometheus_source(name, config, intake, clock, base_folder)
    from retrainer.sources.s3 import s3_source  # noqa: PLC0415 - only what is used is loaded

    return s3_source(name, config, intake, clock, base_folder, sweeps=sweeps)


def threaded(sources: Mapping[str, models.Source], *, leads: bool) -> dict[str, Wanted]:
    """Pick the sources that `build` makes; of these, for a replica without the lead, those that several can share."""
    return {
        name: Wanted(config, sweeps=leads and isinstance(config, models.S3Source) and config.sweep is not None)
        for name, config in sources.items()
        if isinstance(config, Threaded) and (leads or _shared(config))
    }


def _shared(config: Threaded) -> bool:
    """Whether what it reads is dealt out among readers: by a consumer group, or by a queue."""
    if isinstance(config, models.S3Source):
        return config.via.sqs is not None or config.via.kafka is not None
    return isinstance(config, models.KafkaSource)


def webhooks(sources: Mapping[str, models.Source]) -> dict[str, Served]:
    """Pick the sources that `Webhooks` serves; an S3 source may be among them and still have its sweep with us."""
    return {name: config for name, config in sources.items() if _listens(config)}


def _listens(config: models.Source) -> TypeGuard[Served]:
    return isinstance(config, models.WebhookSource | models.AlertmanagerSource) or (
        isinstance(config, models.S3Source) and config.via.webhook is not None
    )
