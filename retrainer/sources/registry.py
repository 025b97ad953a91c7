"""The one list of source types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config import models
from retrainer.sources.directory import DirectorySource

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from retrainer.clock import Clock
    from retrainer.sources.base import Intake, Source

# Sources with a thread of their own. Webhooks are served by the web server, all of them by one `Webhooks`.
Threaded = models.DirectorySource | models.S3Source | models.KafkaSource


def build(name: str, config: Threaded, intake: Intake, clock: Clock, base_folder: Path) -> Source:
    """Make the source that a configuration describes; relative paths are seen from `base_folder`. It is not started."""
    if isinstance(config, models.DirectorySource):
        return DirectorySource(name, config, intake, clock, base_folder)
    if isinstance(config, models.KafkaSource):
        from retrainer.sources.kafka import kafka_source  # noqa: PLC0415 - only what is used is loaded

        return kafka_source(name, config, intake, clock, base_folder)
    from retrainer.sources.s3.source import build_s3  # noqa: PLC0415 - boto3 takes 30 MB, which only its users pay

    return build_s3(name, config, intake, clock)


def threaded(sources: Mapping[str, models.Source]) -> dict[str, Threaded]:
    """Pick the sources that `build` makes: all but those that the web server does everything for."""
    return {name: config for name, config in sources.items() if isinstance(config, Threaded) and not _served(config)}


def _served(config: models.Source) -> bool:
    return isinstance(config, models.S3Source) and config.via.webhook is not None and config.sweep is None


def webhooks(sources: Mapping[str, models.Source]) -> dict[str, models.WebhookSource]:
    """Pick the sources that `Webhooks` serves."""
    return {name: config for name, config in sources.items() if isinstance(config, models.WebhookSource)}
