"""The course of a simulated run: nothing is submitted, and the run ends as its script says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.runs.run import RunPhase
from retrainer.workflows.base import Observed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.runs.run import Run

_SAID = {
    RunPhase.SUCCEEDED: "Succeeded",
    RunPhase.FAILED: "Failed",
    RunPhase.ERROR: "Error",
    RunPhase.CANCELLED: "Failed",
}
GPU = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class RunScript:
    """A script. ``lasts``: seconds; ``outputs``: text by the Workflow's parameter; ``resources``: seconds of use."""

    lasts: float
    phase: RunPhase = RunPhase.SUCCEEDED
    outputs: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, slots=True)
class RunBehaviour:
    """How simulated runs behave.

    ``script_of`` returns the script of a run that has just started; None if the run lasts until it is ended explicitly.
    A run for which ``starts`` returns False waits until it is ended. A run for which ``stops`` returns False does not
    end at once on a stop request.
    """

    script_of: Callable[[Run], RunScript | None] = lambda _: None
    starts: Callable[[Run], bool] = lambda _: True
    stops: Callable[[Run], bool] = lambda _: True


SUBMITTED_AT_ONCE = RunBehaviour()
"""Runs start when they are admitted, and last until they are ended explicitly."""


def end_of(run: Run, course: RunScript) -> Observed:
    """Return what a watcher would observe at the end of the run."""
    return Observed(
        run.namespace,
        run.workflow,
        uid_of(run.id),
        run.id,
        _SAID.get(course.phase, ""),
        message=course.message,
        outputs=course.outputs,
        resources=course.resources,
        gone=course.phase is RunPhase.UNKNOWN,
        stopped=course.phase is RunPhase.CANCELLED,
    )


def uid_of(run: str) -> str:
    return f"uid-{run}"
