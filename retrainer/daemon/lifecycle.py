"""Starts and stops the parts of a daemon in order, makes it the leader or a standby, and has its periodic jobs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from retrainer.api import verdicts
from retrainer.daemon.clock_watch import ClockWatch, follow_store
from retrainer.daemon.source_health import SilenceWatch
from retrainer.daemon.timers import Timers
from retrainer.engine.retention.prune import Pruner
from retrainer.util import supervision
from retrainer.util.supervision import beat

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.api.context import ApiContext
    from retrainer.api.server import WebServer
    from retrainer.config.settings import Settings
    from retrainer.daemon.config_maps import ConfigMaps
    from retrainer.daemon.health import DaemonHealth
    from retrainer.daemon.ingestion import Ingestion
    from retrainer.daemon.leadership import Lead
    from retrainer.daemon.reload import Reload
    from retrainer.daemon.run_workers import RunWorkers
    from retrainer.daemon.tracing import Tracer
    from retrainer.engine.core.engine import Engine
    from retrainer.telemetry.metrics import Metrics
    from retrainer.util.clock import SystemClock
    from retrainer.util.supervision import LeftBehind, Worker
    from retrainer.util.supervisor import Supervisor

log = structlog.get_logger()
PRUNE_EVERY = 60
LISTEN_EVERY = 1
PAUSES_EVERY = 1.0
WATCH_EVERY = 0.5
"""Seconds between two checks that the store is still the one that was opened."""
CHECKPOINT_EVERY = 2.0
TRACE_EVERY = 1.0
WAIT_WITHIN = 20.0
"""Seconds within which all threads together must end; others are left behind. Less than `main.STOP_WITHIN`."""
WAIT_FOR_ONE = 5.0


@dataclass(eq=False)
class Daemon:
    """`start` returns once it is ready, `stop` once everything that was accepted is settled.

    If several replicas share a store, one is the leader: it decides, and does all work that only one may do. The others
    share the intake of sources where possible, serve reads, and take over.
    """

    settings: Settings
    clock: SystemClock
    metrics: Metrics
    engine: Engine
    lead: Lead
    config_maps: ConfigMaps
    run_workers: RunWorkers
    ingestion: Ingestion
    reload: Reload
    supervisor: Supervisor
    health: DaemonHealth
    api: ApiContext = field(init=False)
    web: WebServer = field(init=False)
    tracer: Tracer | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.store = self.engine.store
        self.timers = Timers()
        self.clock_watch = ClockWatch(self.clock, self.metrics.engine.clock)
        self.silence = SilenceWatch(self.store, self.clock, lambda: self.ingestion.configured)
        self.pruner = Pruner(self.settings.store, self.clock.monotonic)

    def start(self) -> None:
        """Start everything. Raise StoreError or ConfigErrors with what is wrong."""
        self.config_maps.read()
        if self.lead.take():
            self.take_over()
        else:
            self._stand_by()
        self._start_timers()
        self.web.start()
        self.lead.start()
        self.config_maps.start(self.reload.if_changed)
        self.health.started = True
        log.info(
            "daemon.ready",
            url=self.web.url,
            rules=len(self.engine.catalog.rules),
            revision=self.engine.catalog.revision,
            leader=self.lead.held,
        )

    def take_over(self) -> None:
        """Start everything that only the leader does."""
        follow_store(self.clock, self.store)
        self.engine.start()
        self.reload.now()
        self.run_workers.start()

    def _stand_by(self) -> None:
        holder = self.store.holder()
        log.info("leader.elsewhere", holder=holder)
        self.engine.standby = f"this replica is a standby; the leader is {holder or 'another replica'}"
        self.ingestion.router.begin()
        self.reload.now()

    def _start_timers(self) -> None:
        jobs: dict[str, tuple[float, Callable[[], object]]] = {
            "reload": (self.settings.reload_interval, self.reload.look),
            "prune": (PRUNE_EVERY, self.prune),
            "listen": (LISTEN_EVERY, self.listen),
            "store": (WATCH_EVERY, self.health.store_watch.look),
            "checkpoint": (CHECKPOINT_EVERY, self.store.checkpoint),
            "clock": (WATCH_EVERY, self.clock_watch.look),
            "pauses": (PAUSES_EVERY, self.reload.follow_pauses),
            "verdicts": (verdicts.INTERVAL, self.api.rules.verdicts.work),
        }
        if (certificate := self.api.certificate) is not None:
            jobs["certificate"] = (self.settings.reload_interval, certificate.look)
        if self.tracer is not None:
            jobs["trace"] = (TRACE_EVERY, self.tracer.drain)
        for name, (seconds, job) in jobs.items():
            self.timers.every(name, seconds, job)
        self.timers.once("check", self.run_workers.check)
        self.timers.start()

    def stop(self) -> list[LeftBehind]:
        """Become unready, stop intake, finish, commit, release. Return the threads that did not end in time.

        If the engine does not end, leadership and the store are not released: the engine may be about to commit.
        """
        before = len(supervision.left_behind())
        self.health.started = False
        log.info("daemon.stopping")
        self.api.simulations.stop()
        until = self.clock.monotonic() + WAIT_WITHIN * supervision.PATIENCE
        self.store.hurry()
        self.engine.hurry()
        self.ingestion.webhooks.stop()
        with suppress(Exception):  # a flood of refusals must not delay the end; the log has them
            self.api.activity.flush()
        led = self.lead.settle(self._left(until, WAIT_FOR_ONE))
        self.timers.stop(self._left(until, WAIT_FOR_ONE))
        self.health.store_watch.stop()
        self.config_maps.stop(self._left(until, WAIT_FOR_ONE))
        self.ingestion.replays.stop(self._left(until, WAIT_FOR_ONE))
        self.ingestion.running.stop(self._left(until, 2 * WAIT_FOR_ONE))
        self.api.changes.close()
        self.web.stop(self._left(until, WAIT_FOR_ONE))
        self.run_workers.manifests.stop()
        self.ingestion.router.stop(self._left(until, WAIT_FOR_ONE))
        if led:
            self.run_workers.submitter.stop(self._left(until, WAIT_WITHIN))
            self.run_workers.reconciler.stop(self._left(until, WAIT_FOR_ONE))
            self.engine.stop(self._left(until, WAIT_WITHIN))
        supervision.join_all(self.supervisor.workers, 0.0)  # sources end in parallel, and were waited for above
        if self.tracer is not None:
            self.tracer.stop()
        if not self.engine.thread.is_alive():
            self.lead.stop(self._left(until, WAIT_FOR_ONE))
            supervision.within(self._left(until, WAIT_FOR_ONE), "store-close", self.store.close)
        log.info("daemon.stopped")
        return supervision.left_behind()[before:]

    def _left(self, until: float, most: float) -> float:
        """Return the seconds until ``until``, at most ``most``, but at least 1: a healthy part ends within a second."""
        factor = supervision.PATIENCE
        return max(1.0 * factor, min(most * factor, until - self.clock.monotonic()))

    def hangup(self) -> None:
        """Read everything again, on the timer's thread. Never blocks."""
        self.reload.requested.set()
        self.timers.wake("reload")

    def replace(self, worker: Worker) -> bool:
        """Replace a hanging source, or end a hanging replay. Raise NotNow while rules are being reloaded."""
        if worker.kind == "replay":
            self.ingestion.replays.give_up(worker.owner, f"it hung at {worker.where()}")
        else:
            self.reload.renew_source(worker)
        return True

    def listen(self) -> None:
        """Log sources that have gone silent, update the dependencies, and store what was refused."""
        self.health.dependencies.look()
        if not self.engine.standby:
            self.silence.look()
        self.api.activity.flush()

    def prune(self) -> None:
        """Delete what has expired or exceeds the size limit, in small transactions."""
        if self.engine.standby:
            return
        size = self.store.used()
        while self.health.started and self.engine.act(lambda tx: self.pruner.prune(tx, size)).result():
            beat()
