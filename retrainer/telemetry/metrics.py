"""Metrics of the daemon for Prometheus. docs/reference/metrics.md describes each metric."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from retrainer.telemetry.engine_metrics import EngineMetrics, EngineStatus
from retrainer.telemetry.exposition import Exposition
from retrainer.telemetry.process_metrics import ProcessMetrics
from retrainer.telemetry.rule_metrics import RuleMetrics, RuleStatus
from retrainer.telemetry.source_metrics import SourceMetrics, SourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from retrainer.config.configuration import Configuration
    from retrainer.telemetry.exposition import PerRule

MANY = 1000
"""With more rules than this, `core` is exported for each rule by default."""


@dataclass(frozen=True, slots=True)
class Collected:
    """The state at the time of a scrape. It comes from the store and the components, so restarts do not reset it."""

    rules: RuleStatus = field(default_factory=RuleStatus)
    sources: SourceStatus = field(default_factory=SourceStatus)
    engine: EngineStatus = field(default_factory=EngineStatus)


class Metrics:
    """All metrics of the daemon, in the given registry. Thread-safe; cheap to call.

    No label contains a run id, a key, the name of an object or free text.
    """

    def __init__(self, registry: CollectorRegistry, per_rule: PerRule | None = None, name: str = "retrainer") -> None:
        """``per_rule``: what is exported for each rule. Default: `all`; with more than `MANY` rules, `core`.

        ``name``: of this instance.
        """
        self.collector: Callable[[], Collected] | None = None
        """Called at each scrape, on the thread that serves it."""
        self._per_rule = per_rule
        self._exposition = Exposition(registry)
        self._exposition.level = per_rule or "all"
        self.rules = RuleMetrics(self._exposition)
        self.sources = SourceMetrics(self._exposition)
        self.engine = EngineMetrics(self._exposition)
        self.process = ProcessMetrics(self._exposition, name)
        self._rendering = Lock()
        self._rendered_at, self._rendered = 0.0, b""

    def configured(self, configuration: Configuration, *, problems: int, now: float) -> None:
        """Export the series of these rules, sources and budgets, and remove all others."""
        self._exposition.level = self._per_rule or ("core" if len(configuration.rules) > MANY else "all")
        self.rules.configured(configuration.rules, configuration.budgets)
        self.sources.configured(configuration.sources)
        self.process.configured(problems, now)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        requested = time.monotonic()
        with self._rendering:
            if self._rendered_at < requested:  # else another call started later than this one: its result is as good
                self._rendered_at = time.monotonic()
                self._rendered = self._render()
            return self._rendered

    def _render(self) -> bytes:
        if self.collector is not None:
            collected = self.collector()
            self.rules.collect(collected.rules)
            self.sources.collect(collected.sources)
            self.engine.collect(collected.engine)
        self.process.collect()
        return self._exposition.render()
