"""PURE: when a run started and ended, as its Workflow says, as far as that can be so."""

from __future__ import annotations

TOLERANCE = 5.0
"""Seconds that the clock of whoever runs Workflows may differ from ours; Argo also drops fractions of a second."""


def believed(told: float | None, born: float, now: float) -> float | None:
    """Return a moment that a Workflow tells, brought into the time from the run's birth to now; None if it cannot be.

    All are epoch seconds. What is off by more than `TOLERANCE` comes from a clock that is wrong, and says nothing.
    """
    if told is None or not born - TOLERANCE <= told <= now + TOLERANCE:
        return None
    return max(born, min(told, now))


def span(started: float | None, finished: float | None, born: float, now: float) -> tuple[float | None, float]:
    """Return when a run that was seen to have ended at `now` started, if that is known, and when it ended."""
    ended = believed(finished, born, now)
    ended = now if ended is None else ended
    return believed(started, born, ended), ended
