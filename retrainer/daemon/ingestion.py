"""The parts that take in events: sources, webhooks, replays, and the router to the engine or a standby's inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.engine.replication.intake_router import IntakeRouter
from retrainer.engine.replication.standby_intake import StandbyIntake
from retrainer.sources import registry
from retrainer.sources.http.browser_requests import Doors
from retrainer.sources.replay import Replays
from retrainer.sources.running import RunningSources
from retrainer.sources.webhook import Webhooks
from retrainer.telemetry.secrets import reveal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from retrainer.config.models import Source as SourceConfig
    from retrainer.config.settings import Settings
    from retrainer.engine.core.engine import Engine
    from retrainer.sources.base import Source
    from retrainer.store.base import Store
    from retrainer.telemetry.process_metrics import ProcessMetrics


class Ingestion:
    """Call `switch` from one thread at a time. ``configured``: the configuration of all sources by name."""

    def __init__(
        self,
        settings: Settings,
        base_folder: Path,
        engine: Engine,
        metrics: ProcessMetrics,
        router: Callable[[Engine, StandbyIntake, Store], IntakeRouter] = IntakeRouter,
    ) -> None:
        standby_intake = StandbyIntake(engine.store, engine.clock, lambda: engine.catalog, settings.http.max_queue)
        self.router = router(engine, standby_intake, engine.store)
        self.running = RunningSources(self.router, engine.clock, base_folder)
        self.replays = Replays(engine, engine.clock)
        self.webhooks = Webhooks({}, self.router, engine.clock, reveal, Doors.of(settings.http), metrics)
        self.configured: Mapping[str, SourceConfig] = {}

    def switch(self, configured: Mapping[str, SourceConfig], *, leads: bool) -> None:
        """Run the sources of a configuration; on a standby only those that replicas can share."""
        if leads:
            self.router.lead()
        self.running.switch(registry.threaded(configured, leads=leads))
        self.webhooks.replace(registry.webhooks(configured))
        self.configured = configured

    def sources(self) -> dict[str, Source | None]:
        """Return all configured sources; None for those that the web server serves."""
        running = self.running.by_name
        return {name: running.get(name) for name in self.configured}
