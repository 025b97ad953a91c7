"""The threads that submit runs to the workflow engine, and follow them to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.runs.run_gateway import EngineRunGateway
from retrainer.manifests.manifests import Manifests
from retrainer.telemetry.secrets import SECRETS
from retrainer.workflows.base import WorkflowError
from retrainer.workflows.engines import workflow_engine
from retrainer.workflows.manifest import manifest
from retrainer.workflows.run_reconciler import RunReconciler
from retrainer.workflows.submission import WorkflowContent
from retrainer.workflows.submitter import SubmitLimits, Submitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.config.settings import Settings
    from retrainer.engine.core.engine import Engine
    from retrainer.runs.run import Run

log = structlog.get_logger()


class RunWorkers:
    """`start` and `stop` them on the leader only. ``count`` is called with the code of each attempt to submit."""

    def __init__(self, settings: Settings, engine: Engine, count: Callable[[str], None]) -> None:
        self.traceparent_of: Callable[[Run], str | None] = lambda _: None
        """Returns the trace context for the Workflow of a run; None without tracing."""
        self._settings = settings
        self.workflows = workflow_engine(settings)
        self.manifests = Manifests(settings, engine.store.read)
        gateway = EngineRunGateway(engine)
        self.submitter = Submitter(
            gateway,
            self.workflows,
            WorkflowContent(self.workflow_of, self.manifests),
            engine.clock,
            SubmitLimits(settings.engine.connections),
            count,
        )
        self.reconciler = RunReconciler(gateway, self.workflows, engine.clock)
        engine.transactions.dispatcher = self.submitter
        engine.on_admitted = self.submitter.wake
        engine.on_stop_requested = self.reconciler.wake

    def workflow_of(self, run: Run) -> dict[str, Any]:
        """Return the Workflow of a run, as it is submitted."""
        engine = self._settings.engine
        instance_id = engine.instance_id if engine.type == "argo" else None
        traceparent = self.traceparent_of(run)
        name = self._settings.name
        return manifest(run, instance=name, instance_id=instance_id, mask=SECRETS.mask, traceparent=traceparent)

    def start(self) -> None:
        self.submitter.start()
        self.reconciler.start()

    def check(self) -> None:
        """Log what is missing (verbs, namespaces, templates) before a run fails because of it."""
        try:
            for missing in self.workflows.check():
                log.error("workflows.missing", missing=missing)
        except WorkflowError as error:
            log.warning("workflows.unchecked", error=str(error))
