"""Whether a run that ended is tried again, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.config.models import Backoff, Retry
    from retrainer.runs.run import RunPhase


def wait(backoff: Backoff, attempt: int) -> float:
    """Seconds before the attempt after this one: `duration * factor ** (attempt - 1)`, capped."""
    exponent = min(attempt - 1, 64)
    return min(backoff.duration * backoff.factor**exponent, backoff.max_duration)


def again(retry: Retry | None, phase: RunPhase, attempt: int) -> bool:
    """A first attempt has number 1; `limit` counts the retries after it."""
    return retry is not None and phase.value in retry.phases and attempt <= retry.limit
