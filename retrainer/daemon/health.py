"""Whether the daemon is ready, what it waits for, and whether a restart would help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.daemon.dependencies import Dependencies, Trouble, of_source, of_threads
from retrainer.store.watch import StoreWatch
from retrainer.telemetry.engine_metrics import EngineStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.daemon.config_maps import ConfigMaps
    from retrainer.daemon.ingestion import Ingestion
    from retrainer.daemon.leadership import Lead
    from retrainer.engine.core.engine import Engine
    from retrainer.util.supervisor import Supervisor
    from retrainer.workflows.base import WorkflowEngine


class Readiness:
    """Named checks for /readyz. A check returns what is wrong as text, or an empty string; it must not block.

    An exception in a check counts as its reason, so a broken check never makes the daemon look ready.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str]] = {}

    def add(self, name: str, check: Callable[[], str]) -> None:
        """Add a check. It replaces another one of that name."""
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Remove the check of that name; no error if there is none."""
        self._checks.pop(name, None)

    def reasons(self) -> list[str]:
        """Return `name: reason` for each check that fails, in the order in which they were added."""
        found = [(name, _ask(check)) for name, check in list(self._checks.items())]
        return [f"{name}: {reason}" for name, reason in found if reason]


def _ask(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part does not count as ready
        return f"{type(error).__name__}: {error}"


class DaemonHealth:
    """Collects the troubles of all parts of the daemon."""

    def __init__(
        self,
        engine: Engine,
        lead: Lead,
        workflows: WorkflowEngine,
        config_maps: ConfigMaps,
        ingestion: Ingestion,
        supervisor: Supervisor,
    ) -> None:
        self._engine, self._lead, self._workflows = engine, lead, workflows
        self._config_maps, self._ingestion, self._supervisor = config_maps, ingestion, supervisor
        self.started = False
        """False while the daemon starts or stops."""
        self.store_watch = StoreWatch(engine.store)
        self.dependencies = Dependencies(self._troubles, engine.clock.now)
        self.readiness = Readiness()
        self.readiness.add("daemon", lambda: "" if self.started else "starting or stopping")
        self.readiness.add("store", lambda: self.trouble)
        self.readiness.add("engine", lambda: supervisor.held_up(engine.thread))

    @property
    def trouble(self) -> str:
        """Why the store cannot be written now; empty if it can."""
        return self.store_watch.trouble or self._engine.trouble or self._lead.trouble

    def stuck(self) -> list[str]:
        """Return why a restart would help, as text; empty if nothing hangs. Depends on no server, and never blocks."""
        return list(filter(None, [self._supervisor.stuck(self._engine.thread), self._engine.failing]))

    def engine_status(self, free_bytes: Callable[[], int | None]) -> EngineStatus:
        """Return the part of the engine's metrics that is not counted in the store."""
        return EngineStatus(
            leader=self._lead.sure,
            queued=self._engine.queued,
            watch_restarts=self._workflows.watch_restarts,
            store_writable=not self.trouble,
            store_free_bytes=free_bytes(),
        )

    def _troubles(self) -> Iterator[Trouble]:
        """Yield the external problems that affect parts of the daemon."""
        if self.trouble:
            yield Trouble("engine", "store", self.trouble)
        if self._workflows.trouble:
            yield Trouble("workflows", "api_server", self._workflows.trouble)
        for namespace, error in self._config_maps.troubles.items():
            yield Trouble(f"rules of namespace {namespace}", "api_server", error)
        for name, source in (self._ingestion.sources() if self.started else {}).items():
            if source is not None:
                yield from of_source(name, self._ingestion.configured[name], source)
        yield from of_threads(self._supervisor.waiting())
