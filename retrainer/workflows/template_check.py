"""Checks a run's parameters against its template, just before it is submitted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from retrainer.workflows.base import Later
from retrainer.workflows.manifest import check_parameters

if TYPE_CHECKING:
    from retrainer.runs.run import Run
    from retrainer.util.clock import Clock
    from retrainer.workflows.base import Template, WorkflowEngine

KEPT = 30.0
"""Seconds for which a template is cached, so that a burst of runs fetches it once."""


class Reference(NamedTuple):
    namespace: str
    name: str
    cluster: bool


class TemplateCheck:
    """Caches templates for a short time. Thread-safe."""

    def __init__(self, engine: WorkflowEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Reference, tuple[float, Template]] = {}

    def problems(self, run: Run) -> list[str]:
        """Return what is wrong, as text; empty if nothing is. Raise Later or Ambiguous if it cannot be read."""
        reference = _reference(run)
        if reference is None:
            return []
        kept = self._recall(reference)
        if kept is not None and not check_parameters(kept, run.parameters):
            return []
        # The current template may accept what the cached one does not.
        return self._ask(reference, run)

    def _recall(self, reference: Reference) -> Template | None:
        with self._lock:
            read_at, template = self._kept.get(reference, (0.0, None))
        return template if self._clock.monotonic() - read_at < KEPT else None

    def _ask(self, reference: Reference, run: Run) -> list[str]:
        try:
            template = self._engine.template(reference.namespace, reference.name, cluster=reference.cluster)
        except Later as error:
            if error.code == "403":  # without permission to read templates, the check is left to Argo
                return []
            raise
        if template is None:
            where = "" if reference.cluster else f" in namespace {reference.namespace}"
            kind = "ClusterWorkflowTemplate" if reference.cluster else "WorkflowTemplate"
            return [f"there is no {kind} {reference.name}{where}: apply it, or correct the name under submit"]
        with self._lock:
            self._kept[reference] = (self._clock.monotonic(), template)
        return check_parameters(template, run.parameters)


def _reference(run: Run) -> Reference | None:
    if name := run.submit.get("workflow_template"):
        return Reference(run.namespace, name, cluster=False)
    if name := run.submit.get("cluster_workflow_template"):
        return Reference("", name, cluster=True)
    return None
