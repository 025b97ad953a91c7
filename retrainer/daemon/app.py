"""The composition root: creates all parts of the daemon and connects them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from retrainer.api.activity_log import ActivityLog
from retrainer.api.app import build as build_web
from retrainer.api.certificate import ServedCertificate
from retrainer.api.changes import Changes
from retrainer.api.context import ApiContext
from retrainer.api.rule_summaries import RuleLines
from retrainer.api.server import WebServer
from retrainer.api.source_operations import SourceOperations
from retrainer.daemon.clock_watch import follow_store
from retrainer.daemon.collectors import StoreCollector, free_bytes
from retrainer.daemon.commit_listener import CommitListener
from retrainer.daemon.config_maps import ConfigMaps
from retrainer.daemon.health import DaemonHealth
from retrainer.daemon.ingestion import Ingestion
from retrainer.daemon.leadership import Lead, give_up
from retrainer.daemon.lifecycle import Daemon
from retrainer.daemon.reload import Reload
from retrainer.daemon.run_workers import RunWorkers
from retrainer.daemon.tracing import Listeners, TracedRouter, tracer_of, with_header
from retrainer.engine.commands.activity import store_rows
from retrainer.engine.core.engine import Engine
from retrainer.engine.replication.intake_router import IntakeRouter
from retrainer.engine.runs.run_defaults import RunDefaults
from retrainer.manifests.manifests import manifest_uri
from retrainer.simulate.whatif.job import StoreAddress
from retrainer.simulate.whatif.simulations import Simulations
from retrainer.store.open import open_store
from retrainer.telemetry.metrics import Metrics
from retrainer.telemetry.secrets import reveal
from retrainer.util.clock import SystemClock
from retrainer.util.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.settings import Settings
    from retrainer.config.settings import Store as StoreSettings

LETTERS_SHARE = 4
"""Dead letters take up at most `ledger_max_size` divided by this."""


def build(settings: Settings, base_folder: Path) -> Daemon:
    """Create a daemon and open its store. Relative paths of sources start at ``base_folder``. Nothing runs yet."""
    clock = SystemClock()
    metrics = Metrics(CollectorRegistry(), settings.metrics.per_rule, settings.name)
    store = open_store(settings.store)
    follow_store(clock, store)
    lead = Lead(store, clock, lambda: daemon.web.url_for_replicas, lambda: daemon.take_over(), give_up)  # noqa: PLW0108
    config_maps = ConfigMaps(settings)
    tracer = tracer_of(settings, store, clock, metrics.process)
    engine = Engine(
        store,
        clock,
        CommitListener(metrics) if tracer is None else Listeners(CommitListener(metrics), tracer),
        RunDefaults(
            settings.engine.namespaces[0] if settings.engine.type == "argo" else "default",
            manifest_uri(settings, lambda: daemon.web.url_for_others),
        ),
        max_queue=settings.http.max_queue,
    )
    engine.transactions.dead_letters_limit = settings.store.ledger_max_size // LETTERS_SHARE
    run_workers = RunWorkers(settings, engine, metrics.engine.submit_attempt)
    router = IntakeRouter if tracer is None else partial(TracedRouter, tracer)
    ingestion = Ingestion(settings, base_folder, engine, metrics.process, router)
    reload = Reload(settings, config_maps, engine, ingestion, metrics, lambda: lead.held)
    supervisor = Supervisor(lambda worker: daemon.replace(worker))  # noqa: PLW0108
    health = DaemonHealth(engine, lead, run_workers.workflows, config_maps, ingestion, supervisor)
    daemon = Daemon(
        settings, clock, metrics, engine, lead, config_maps, run_workers, ingestion, reload, supervisor, health
    )
    if tracer is not None:
        daemon.tracer, run_workers.traceparent_of = tracer, tracer.parent
    _connect_metrics(daemon)
    tls = settings.http.tls
    certificate = None if tls is None else ServedCertificate(tls, metrics.process.certificate_expires)
    daemon.api = _api(daemon, certificate)
    daemon.web = WebServer(build_web(daemon.api), settings.http.host, settings.http.port, certificate)
    return daemon


def _connect_metrics(daemon: Daemon) -> None:
    store = daemon.settings.store
    free = partial(free_bytes, store.path) if store.url is None else lambda: None
    daemon.metrics.collector = StoreCollector(
        daemon.store,
        daemon.clock,
        lambda: replace(daemon.health.engine_status(free), max_backup_age=store.max_backup_age),
        catalog=lambda: daemon.engine.catalog,
        sources=daemon.ingestion.sources,
        expected=lambda: {name: source.max_silence for name, source in daemon.ingestion.configured.items()},
    )
    daemon.metrics.process.threads = lambda: daemon.supervisor.seen(daemon.clock.monotonic())
    daemon.metrics.process.waits = daemon.health.dependencies.look


def _address(store: StoreSettings) -> StoreAddress:
    if store.url is None:
        return StoreAddress(path=store.path)
    return StoreAddress(url=store.url, password=reveal(store.password) if store.password else None)


def _api(daemon: Daemon, certificate: ServedCertificate | None) -> ApiContext:
    engine, ingestion, health = daemon.engine, daemon.ingestion, daemon.health

    def leader() -> str:
        return "" if daemon.lead.held else daemon.store.leader()

    def role() -> object:
        daemon.reload.follow_pauses()  # before pages ask again for what changed
        return engine.standby, leader()

    return ApiContext(
        settings=daemon.settings,
        engine=engine,
        metrics=daemon.metrics,
        rules=RuleLines(daemon.store, daemon.clock, lambda: engine.catalog),
        changes=Changes(daemon.store, role),
        sources=SourceOperations(engine, ingestion.replays, lambda: ingestion.configured, ingestion.sources),
        namespace=engine.transactions.default_namespace,
        activity=ActivityLog(partial(store_rows, engine), engine.clock.now),
        simulations=Simulations(partial(_address, daemon.settings.store), engine.clock.now),
        webhooks=ingestion.webhooks if daemon.tracer is None else with_header(ingestion.webhooks),
        leader=leader,
        workflow_of=daemon.run_workers.workflow_of,
        outputs=daemon.run_workers.workflows.outputs,
        nodes=daemon.run_workers.workflows.nodes,
        loaded=lambda: daemon.reload.loaded,
        reload=daemon.reload.everything,
        rule_problems=daemon.reload.problems,
        unready=health.readiness.reasons,
        waiting=health.dependencies.look,
        stuck=health.stuck,
        certificate=certificate,
    )
