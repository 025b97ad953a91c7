"""The list of source types."""

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

# Sources with threads of their own. All webhooks are served by the web server, through one `Webhooks`.
Threaded = models.DirectorySource | models.S3Source | models.KafkaSource | models.PrometheusSource


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A source to run. ``sweeps``: an S3 source also lists its buckets; one replica does so for all."""

    config: Threaded
    sweeps: bool


def build(
    name: str, config: Threaded, intake: Intake, clock: Clock, base_folder: Path, *, sweeps: bool = True
) -> Source:
    """Create the configured source, not started. Relative paths are resolved against `base_folder`."""
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


def threaded(sources: Mapping[str, models.Source], *, leads: bool) -> dict[str, SourceRequest]:
    """Select the sources that `build` creates. Without the lead: only those that replicas can share."""
    return {
        name: SourceRequest(config, sweeps=leads and isinstance(config, models.S3Source) and config.sweep is not None)
        for name, config in sources.items()
        if isinstance(config, Threaded) and (leads or _shared(config))
    }


def _shared(config: Threaded) -> bool:
    """Whether its input is distributed among readers: by partition, or by a queue."""
    if isinstance(config, models.S3Source):
        return config.via.sqs is not None or config.via.kafka is not None
    return isinstance(config, models.KafkaSource)


def webhooks(sources: Mapping[str, models.Source]) -> dict[str, Served]:
    """Select the sources that `Webhooks` serves. An S3 source may be among them and be swept as well."""
    return {name: config for name, config in sources.items() if _listens(config)}


def _listens(config: models.Source) -> TypeGuard[Served]:
    return isinstance(config, models.WebhookSource | models.AlertmanagerSource) or (
        isinstance(config, models.S3Source) and config.via.webhook is not None
    )
