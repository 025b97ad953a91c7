"""Whether and when a run that ended is retried, and the run of the retry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.runs.naming import workflow_name
from retrainer.runs.run import Run, RunPhase

if TYPE_CHECKING:
    from retrainer.config.models import Backoff, Retry


def wait(backoff: Backoff, attempt: int) -> float:
    """Seconds before the next attempt: `duration * factor ** (attempt - 1)`, at most `max_duration`."""
    return grown(backoff.duration, backoff.factor, attempt - 1, backoff.max_duration)


def grown(seconds: float, factor: float, times: int, longest: float) -> float:
    """`seconds * factor ** times`, at most ``longest``; never raises OverflowError."""
    try:
        return min(seconds * factor**times, longest)
    except OverflowError:  # larger than a float can be
        return longest


def again(retry: Retry | None, phase: RunPhase, attempt: int) -> bool:
    """Whether the run is retried. The first attempt has number 1; `limit` counts the retries after it."""
    return retry is not None and phase.value in retry.phases and attempt <= retry.limit


def another(run: Run, run_id: str, now: float, reason: str) -> Run:
    """A new attempt of an ended run, created at ``now`` (epoch seconds), PENDING, with the same settings.

    It takes no data: the inputs of the ended run were returned to the window.
    """
    return Run(
        id=run_id,
        rule=run.rule,
        key=run.key,
        phase=RunPhase.PENDING,
        workflow=workflow_name(run.rule, run_id),
        namespace=run.namespace,
        submit=run.submit,
        parameters=run.parameters,
        labels=run.labels,
        trigger=run.trigger,
        reason=reason,
        created_at=now,
        revision=run.revision,
        chain=run.chain,
        attempt=run.attempt + 1,
        retry_of=run.id,
        scheduled_at=run.scheduled_at,
        cause=run.cause,
        pool=run.pool,
        priority=run.priority,
    )
