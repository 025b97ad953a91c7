"""PURE: when a run started and ended, by its Workflow, as far as its times are plausible."""

from __future__ import annotations

TOLERANCE = 5.0
"""Seconds that the clock of the cluster may differ from ours; Argo also drops fractions of a second."""


def believed(reported: float | None, created: float, now: float) -> float | None:
    """Return a time from a Workflow, limited to the period from the run's creation to now; None if implausible.

    All times are epoch seconds. A time that is off by more than `TOLERANCE` comes from a wrong clock and is ignored.
    """
    if reported is None or not created - TOLERANCE <= reported <= now + TOLERANCE:
        return None
    return max(created, min(reported, now))


def span(started: float | None, finished: float | None, created: float, now: float) -> tuple[float | None, float]:
    """Return when a run started, if known, and when it ended. Its end was observed at `now`."""
    ended = believed(finished, created, now)
    ended = now if ended is None else ended
    return believed(started, created, ended), ended
