"""PURE: what may be done with a run, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from retrainer.runs.run import Run


def why_no_cancel(run: Run) -> str:
    """Return why a run cannot be stopped; empty if it can."""
    return f"run {run.id} has ended: {run.phase}" if run.phase.terminal else ""


def why_no_retry(run: Run) -> str:
    """Return why a run gets no further attempt; empty if it can get one."""
    if not run.phase.terminal:
        return f"run {run.id} is {run.phase}; only an ended run can be retried"
    if run.phase is RunPhase.SUCCEEDED:
        return f"run {run.id} succeeded; use `retrainer trigger {run.rule}` for another one"
    return ""


def why_no_feedback(run: Run) -> str:
    """Return why it cannot be reported whether the model of a run was promoted; empty if it can."""
    succeeded = run.phase is RunPhase.SUCCEEDED
    return "" if succeeded else f"run {run.id} is {run.phase}: only a run that succeeded has made a model"
