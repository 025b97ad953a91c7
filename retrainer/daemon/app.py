"""The composition root: creates, starts, stops and reloads all parts of the daemon."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from retrainer.api.app import build as build_web
from retrainer.api.context import ApiContext
from retrainer.api.rule_summaries import RuleLines
from retrainer.api.server import WebServer
from retrainer.api.source_operations import SourceOperations
from retrainer.config.files import fingerprint
from retrainer.config.load import Loaded, load_rules
from retrainer.config.teams import NO_TEAMS, TeamFiles
from retrainer.daemon.clock_watch import ClockWatch
from retrainer.daemon.collectors import StoreCollector, free_bytes
from retrainer.daemon.commit_listener import CommitListener
from retrainer.daemon.config_maps import ConfigMaps
from retrainer.daemon.dependencies import Dependencies, Trouble, of_source, of_threads
from retrainer.daemon.health import Readiness
from retrainer.daemon.leadership import Lead, give_up
from retrainer.daemon.source_health import SilenceWatch
from retrainer.daemon.timers import Timers
from retrainer.engine.core.catalog import build_catalog
from retrainer.engine.core.engine import Engine
from retrainer.engine.replication.intake_router import IntakeRouter
from retrainer.engine.replication.standby_intake import StandbyIntake
from retrainer.engine.retention.prune import Pruner
from retrainer.engine.runs.run_gateway import EngineRunGateway
from retrainer.manifests.manifests import Manifests, manifest_uri
from retrainer.sources import registry
from retrainer.sources.http.browser_requests import Doors
from retrainer.sources.replay import Replays
from retrainer.sources.running import RunningSources
from retrainer.sources.webhook import Webhooks
from retrainer.store import event_statements, statements
from retrainer.store.open import open_store
from retrainer.store.watch import StoreWatch
from retrainer.telemetry.engine_metrics import EngineStatus
from retrainer.telemetry.metrics import Metrics
from retrainer.telemetry.secrets import SECRETS, reveal
from retrainer.util import gc_tuning, supervision
from retrainer.util.clock import SystemClock
from retrainer.util.supervision import beat
from retrainer.util.supervisor import TICK, NotNow, Supervisor
from retrainer.workflows.base import WorkflowError
from retrainer.workflows.engines import workflow_engine
from retrainer.workflows.manifest import manifest
from retrainer.workflows.run_reconciler import RunReconciler
from retrainer.workflows.submission import WorkflowContent
from retrainer.workflows.submitter import SubmitLimits, Submitter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

    from retrainer.config.settings import Settings
    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.runs.run import Run
    from retrainer.sources.base import Source
    from retrainer.util.supervision import LeftBehind, Worker

log = structlog.get_logger()
PRUNE_EVERY = 60
LISTEN_EVERY = 1
LETTERS_SHARE = 4
"""Dead letters take up at most `ledger_max_size` divided by this."""
WATCH_EVERY = 0.5
"""Seconds between two checks that the store is still the one that was opened."""
CHECKPOINT_EVERY = 2.0
WAIT_WITHIN = 20.0
"""Seconds within which all threads together must end; others are left behind. Less than `main.STOP_WITHIN`."""
WAIT_FOR_ONE = 5.0


class App:
    """The daemon. `start` returns once it is ready, `stop` once everything that was accepted is settled.

    If several replicas share a store, one is the leader: it decides, and does all work that only one may do. The others
    share the intake of sources where possible, serve reads, and take over.
    """

    def __init__(self, settings: Settings, base_folder: Path) -> None:
        self.settings = settings
        self.base_folder = base_folder
        self.clock = SystemClock()
        self.metrics = Metrics(CollectorRegistry(), settings.metrics.per_rule, settings.name)
        self.store = open_store(settings.store)
        self.store_watch = StoreWatch(self.store)
        self.clock_watch = ClockWatch(self.clock, self.metrics.engine.clock)
        self._follow_the_clock()
        self.lead = Lead(self.store, self.clock, lambda: self.web.url_for_replicas, self._take_over, give_up)
        self.config_maps = ConfigMaps(settings)
        self.loaded: Loaded
        namespace = settings.engine.namespaces[0] if settings.engine.type == "argo" else "default"
        self.engine = Engine(
            self.store,
            self.clock,
            CommitListener(self.metrics),
            namespace=namespace,
            max_queue=settings.http.max_queue,
            manifest_uri=manifest_uri(settings, lambda: self.web.url_for_others),
        )
        self.workflows = workflow_engine(settings)
        self.manifests = Manifests(settings, self.store.read)
        gateway = EngineRunGateway(self.engine)
        self.submitter = Submitter(
            gateway,
            self.workflows,
            WorkflowContent(self.manifest_of, self.manifests),
            self.clock,
            SubmitLimits(settings.engine.connections),
            self.metrics.engine.submit_attempt,
        )
        self.run_reconciler = RunReconciler(gateway, self.workflows, self.clock)
        self.engine.dispatcher = self.submitter
        self.engine.dead_letters_limit = settings.store.ledger_max_size // LETTERS_SHARE
        self.engine.on_admitted = self.submitter.wake
        self.engine.on_stop_requested = self.run_reconciler.wake
        standby_intake = StandbyIntake(self.store, self.clock, lambda: self.engine.catalog, settings.http.max_queue)
        self.intake_router = IntakeRouter(self.engine, standby_intake, self.store)
        self.webhooks = Webhooks(
            {},
            self.intake_router,
            self.clock,
            reveal,
            Doors.of(settings.http),
            refused=self.metrics.process.refused,
            left_out=self.metrics.process.dead_letters_left_out,
        )
        self.timers = Timers()
        self.replays = Replays(self.engine, self.clock)
        self.rule_lines = RuleLines(self.store, self.clock, lambda: self.engine.catalog)
        self.metrics.collector = StoreCollector(
            self.store,
            self.clock,
            self._engine_status,
            catalog=lambda: self.engine.catalog,
            sources=self.sources,
            expected=lambda: {n: s.max_silence for n, s in self.loaded.configuration.sources.items()},
        )
        self.dependencies = Dependencies(self._troubles, self.clock.now)
        self.metrics.process.threads = lambda: self.supervisor.seen(self.clock.monotonic())
        self.metrics.process.waits = self.dependencies.look
        self.silence = SilenceWatch(self.store, self.clock, lambda: self.loaded.configuration.sources)
        self.pruner = Pruner(settings.store, self.clock.monotonic)
        self.started = False
        self.readiness = Readiness()
        self.readiness.add("daemon", lambda: "" if self.started else "starting or stopping")
        self.readiness.add("store", lambda: self.trouble)
        self.supervisor = Supervisor(self.replace)
        self.readiness.add("engine", lambda: self.supervisor.held_up(self.engine.thread))
        self.web = WebServer(build_web(self._api()), settings.http.host, settings.http.port)
        self.dropped: list[Dropped] = []
        """The state of rules that the last reload dropped."""
        self._sources = RunningSources(self.intake_router, self.clock, base_folder)
        self._reloading = threading.Lock()
        self._anew = threading.Event()
        self._read: tuple[str, TeamFiles] = ("", NO_TEAMS)

    def _api(self) -> ApiContext:
        return ApiContext(
            settings=self.settings,
            store=self.store,
            engine=self.engine,
            clock=self.clock,
            metrics=self.metrics,
            rules=self.rule_lines,
            sources=SourceOperations(
                self.engine, self.clock, self.replays, lambda: self.loaded.configuration.sources, self.sources
            ),
            webhooks=self.webhooks,
            leader=lambda: "" if self.lead.held else self.store.leader(),
            manifest_of=self.manifest_of,
            reload=self.reload_on_request,
            unready=self.readiness.reasons,
            waiting=self.dependencies.look,
            stuck=lambda: list(filter(None, [self.supervisor.stuck(self.engine.thread), self.engine.failing])),
        )

    def reload_on_request(self) -> dict[str, Any]:
        """Reload as `look_again`. Return revision, changed, problems, dropped."""
        before = self.loaded.configuration.revision
        loaded = self.look_again()
        revision = loaded.configuration.revision
        return {
            "revision": revision,
            "changed": revision != before,
            "problems": [SECRETS.mask(str(p)) for p in loaded.problems],
            "dropped": [asdict(dropped) for dropped in self.dropped],
        }

    def manifest_of(self, run: Run) -> dict[str, Any]:
        instance_id = self.settings.engine.instance_id if self.settings.engine.type == "argo" else None
        return manifest(run, instance=self.settings.name, instance_id=instance_id, mask=SECRETS.mask)

    def start(self) -> None:
        """Start everything. Raise StoreError or ConfigErrors with what is wrong."""
        self.config_maps.read()
        if self.lead.take():
            self._take_over()
        else:
            self._stand_by()
        self.timers.every("reload", self.settings.reload_interval, self.look)
        self.timers.every("prune", PRUNE_EVERY, self.prune)
        self.timers.every("listen", LISTEN_EVERY, self.listen)
        self.timers.every("store", WATCH_EVERY, self.store_watch.look)
        self.timers.every("checkpoint", CHECKPOINT_EVERY, self.store.checkpoint)
        self.timers.every("clock", WATCH_EVERY, self.clock_watch.look)
        self.timers.once("check", self.check_workflows)
        self.timers.start()
        self.web.start()
        self.lead.start()
        self.config_maps.start(self.look_for_changes)
        self.started = True
        log.info(
            "daemon.ready",
            url=self.web.url,
            rules=len(self.engine.catalog.rules),
            revision=self.engine.catalog.revision,
            leader=self.lead.held,
        )

    def _take_over(self) -> None:
        """Start everything that only the leader does."""
        self._follow_the_clock()
        self.engine.start()
        self.reload()
        self.submitter.start()
        self.run_reconciler.start()

    def _stand_by(self) -> None:
        holder = self.store.holder()
        log.info("leader.elsewhere", holder=holder)
        self.engine.standby = f"this replica is a standby; the leader is {holder or 'another replica'}"
        self.intake_router.begin()
        self.reload()

    def _follow_the_clock(self) -> None:
        now = self.store.clock()
        if now is not None:
            self.clock.follow(now)

    @property
    def trouble(self) -> str:
        """Why the store cannot be written now; empty if it can."""
        return self.store_watch.trouble or self.engine.trouble or self.lead.trouble

    def _engine_status(self) -> EngineStatus:
        path = self.settings.store.path if self.settings.store.url is None else None
        return EngineStatus(
            leader=self.lead.sure,
            queued=self.engine.queued,
            watch_restarts=self.workflows.watch_restarts,
            store_writable=not self.trouble,
            store_free_bytes=free_bytes(path) if path is not None else None,
        )

    def _troubles(self) -> Iterator[Trouble]:
        """Yield the external problems that affect parts of the daemon."""
        if self.trouble:
            yield Trouble("engine", "store", self.trouble)
        if self.workflows.trouble:
            yield Trouble("workflows", "api_server", self.workflows.trouble)
        for namespace, error in self.config_maps.troubles.items():
            yield Trouble(f"rules of namespace {namespace}", "api_server", error)
        for name, source in (self.sources() if self.started else {}).items():
            if source is not None:
                yield from of_source(name, self.loaded.configuration.sources[name], source)
        yield from of_threads(self.supervisor.waiting())

    def stop(self) -> list[LeftBehind]:
        """Become unready, stop intake, finish, commit, release. Return the threads that did not end in time.

        If the engine does not end, leadership and the store are not released: the engine may be about to commit.
        """
        before = len(supervision.left_behind())
        self.started = False
        log.info("daemon.stopping")
        until = self.clock.monotonic() + WAIT_WITHIN * supervision.PATIENCE
        self.store.hurry()
        self.engine.hurry()
        self.webhooks.stop()
        led = self.lead.settle(self._left(until, WAIT_FOR_ONE))
        self.timers.stop(self._left(until, WAIT_FOR_ONE))
        self.store_watch.stop()
        self.config_maps.stop(self._left(until, WAIT_FOR_ONE))
        self.replays.stop(self._left(until, WAIT_FOR_ONE))
        self._sources.stop(self._left(until, 2 * WAIT_FOR_ONE))
        self.web.stop(self._left(until, WAIT_FOR_ONE))
        self.manifests.stop()
        self.intake_router.stop(self._left(until, WAIT_FOR_ONE))
        if led:
            self.submitter.stop(self._left(until, WAIT_WITHIN))
            self.run_reconciler.stop(self._left(until, WAIT_FOR_ONE))
            self.engine.stop(self._left(until, WAIT_WITHIN))
        supervision.join_all(self.supervisor.workers, 0.0)  # sources end in parallel, and were waited for above
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
        self._anew.set()
        self.timers.wake("reload")

    def look(self) -> None:
        """Reload if there are changes, or if a reload was requested."""
        if self._anew.is_set():
            self._anew.clear()
            self.look_again()
        else:
            self.look_for_changes()

    def look_for_changes(self) -> None:
        """Reload if the rule files have changed since the last read. If there are problems, compare their content."""
        with self._reloading:
            self._sources.mend()
        if self._seen() == self._read and not self.loaded.problems:
            return
        loaded = self._load(self.config_maps.files)
        if loaded.files != self.loaded.files or loaded.problems != self.loaded.problems:
            self.reload()

    def look_again(self) -> Loaded:
        """Read everything again on request, including ConfigMaps of teams."""
        self.config_maps.read()
        return self.reload()

    def reload(self) -> Loaded:
        """Read the rules again. Broken files keep their last good text, also across a restart."""
        with self._reloading:
            self._read = self._seen()
            loaded, catalog = self._compiled(self._read[1])
            for problem in loaded.problems:
                log.error("config.problem", problem=str(problem))
            self.metrics.configured(loaded.configuration, problems=len(loaded.problems), now=self.clock.now())
            if self.lead.held:
                self._switch(loaded, catalog)
            else:
                self.engine.catalog = catalog  # for reads only
                self._sources.switch(registry.threaded(loaded.configuration.sources, leads=False))
            self.webhooks.replace(registry.webhooks(loaded.configuration.sources))
            self.loaded = loaded
            log.info(
                "config.loaded",
                revision=loaded.configuration.revision,
                rules=len(loaded.configuration.rules),
                problems=len(loaded.problems),
            )
            return loaded

    def _switch(self, loaded: Loaded, catalog: Catalog) -> None:
        for gone in (dropped := self.engine.switch(catalog)):
            log.warning("config.state_dropped", rule=gone.rule, trigger=gone.trigger, why=gone.why)
        self.dropped = dropped
        self._keep(loaded)
        self.intake_router.lead()
        self._sources.switch(registry.threaded(loaded.configuration.sources, leads=True))

    def _seen(self) -> tuple[str, TeamFiles]:
        return fingerprint(self.settings.rules), self.config_maps.files

    def _compiled(self, teams: TeamFiles) -> tuple[Loaded, Catalog]:
        with gc_tuning.undisturbed():
            loaded = self._load(teams)
            catalog = build_catalog(loaded.configuration, self.store.read(statements.paused_rules))
        gc_tuning.settle()
        return loaded, catalog

    def _load(self, teams: TeamFiles) -> Loaded:
        return load_rules(self.settings, last_good=self.store.read(statements.last_good), teams=teams)

    def _keep(self, loaded: Loaded) -> None:
        """Store the good texts, and since when each source is configured."""
        files = loaded.files
        hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}

        def run(tx: Transaction) -> None:
            statements.store_good(tx.conn, files, hashes, tx.now)
            event_statements.meet_sources(tx.conn, loaded.configuration.sources, tx.now)

        self.engine.act(run).result()

    def replace(self, worker: Worker) -> bool:
        """Replace a hanging source, or end a hanging replay. Raise NotNow while rules are being reloaded."""
        if worker.kind == "replay":
            self.replays.give_up(worker.owner, f"it hung at {worker.where()}")
            return True
        if not self._reloading.acquire(timeout=TICK):
            raise NotNow
        try:
            if not worker.stopping:  # else it was removed or replaced, and the name is another source's
                worker.abandon()
                self._sources.renew(worker.owner)
        finally:
            self._reloading.release()
        return True

    def sources(self) -> dict[str, Source | None]:
        """Return all configured sources; None for those that the web server serves."""
        running = self._sources.by_name
        return {name: running.get(name) for name in self.loaded.configuration.sources}

    def check_workflows(self) -> None:
        """Log what is missing (verbs, namespaces, templates) before a run fails because of it."""
        try:
            for missing in self.workflows.check():
                log.error("workflows.missing", missing=missing)
        except WorkflowError as error:
            log.warning("workflows.unchecked", error=str(error))

    def listen(self) -> None:
        """Log sources that have gone silent, and update the dependencies."""
        self.dependencies.look()
        if not self.engine.standby:
            self.silence.look()

    def prune(self) -> None:
        """Delete what has expired or exceeds the size limit, in small transactions."""
        if self.engine.standby:
            return
        size = self.store.used()
        while self.started and self.engine.act(lambda tx: self.pruner.prune(tx, size)).result():
            beat()
