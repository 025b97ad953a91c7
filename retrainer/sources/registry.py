"""The list of source kinds."""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, TypeGuard

from retrainer.config.models import sources as models
from retrainer.sources.base import Intake, Source, SourceContext

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from retrainer.sources.http.hook import Served
    from retrainer.util.clock import Clock


@dataclass(frozen=True, slots=True)
class SourceKind:
    """``create``: where the function or class is that gets a `SourceContext` and the model, and returns a `Source`.

    It is imported when it is first used. ``shared`` returns whether several replicas may read the source at once, as
    its input is distributed among readers: by partition, or by a queue.
    """

    create: str
    shared: Callable[[Any], bool] = lambda _config: False


KINDS: Mapping[type[models.SourceModel], SourceKind] = {
    models.DirectorySource: SourceKind("retrainer.sources.directory:DirectorySource"),
    models.KafkaSource: SourceKind("retrainer.sources.kafka.source:kafka_source", shared=lambda _config: True),
    models.PrometheusSource: SourceKind("retrainer.sources.prometheus.source:PrometheusSource"),
    models.S3Source: SourceKind("retrainer.sources.s3.source:s3_source", lambda config: config.via.webhook is None),
}
"""Sources with threads of their own. All webhooks are served by the web server, through one `Webhooks`."""


@dataclass(frozen=True, slots=True)
class SourceRequest:
    """A source to run, of a kind in `KINDS`. ``sweeps``: see `SourceContext`."""

    config: models.Source
    sweeps: bool


def build(
    name: str, config: models.Source, intake: Intake, clock: Clock, base_folder: Path, *, sweeps: bool = True
) -> Source:
    """Create the configured source, not started. Relative paths are resolved against `base_folder`."""
    create: Callable[[SourceContext, models.Source], Source] = resolve_name(KINDS[type(config)].create)
    return create(SourceContext(name, intake, clock, base_folder, sweeps), config)


def threaded(sources: Mapping[str, models.Source], *, leads: bool) -> dict[str, SourceRequest]:
    """Select the sources that `build` creates. Without the lead: only those that replicas can share."""
    return {
        name: SourceRequest(config, sweeps=leads and isinstance(config, models.S3Source) and config.sweep is not None)
        for name, config in sources.items()
        if (kind := KINDS.get(type(config))) is not None and (leads or kind.shared(config))
    }


def webhooks(sources: Mapping[str, models.Source]) -> dict[str, Served]:
    """Select the sources that `Webhooks` serves. An S3 source may be among them and be swept as well."""
    return {name: config for name, config in sources.items() if _listens(config)}


def _listens(config: models.Source) -> TypeGuard[Served]:
    return isinstance(config, models.WebhookSource | models.AlertmanagerSource) or (
        isinstance(config, models.S3Source) and config.via.webhook is not None
    )
