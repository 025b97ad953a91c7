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
THREADED = {models.DirectorySource: DirectorySource}


def build(name: str, config: models.DirectorySource, intake: Intake, clock: Clock, base_folder: Path) -> Source:
    """Make the source that a configuration describes; relative paths are seen from `base_folder`. It is not started."""
    return THREADED[type(config)](name, config, intake, clock, base_folder)


def threaded(sources: Mapping[str, models.Source]) -> dict[str, models.DirectorySource]:
    """Pick the sources that `build` makes."""
    return {name: config for name, config in sources.items() if isinstance(config, models.DirectorySource)}


def webhooks(sources: Mapping[str, models.Source]) -> dict[str, models.WebhookSource]:
    """Pick the sources that `Webhooks` serves."""
    return {name: config for name, config in sources.items() if isinstance(config, models.WebhookSource)}
