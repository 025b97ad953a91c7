"""The list of workflow engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.config.settings import Settings
    from retrainer.workflows.base import WorkflowEngine


def workflow_engine(settings: Settings) -> WorkflowEngine:
    """Return the configured engine. Only its own libraries are imported."""
    if settings.engine.type == "local":
        from retrainer.workflows.local.engine import LocalEngine  # noqa: PLC0415 - see above

        return LocalEngine(settings.engine, settings.name)
    from retrainer.workflows.argo.engine import ArgoEngine  # noqa: PLC0415 - see above

    return ArgoEngine(settings.engine, settings.name)
