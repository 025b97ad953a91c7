"""Follows the clock of the store, and detects steps of the machine's clock.

Waits are not affected by a step; it is logged for the operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from retrainer.util.clock import ClockSample, stepped

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.store.base import Store
    from retrainer.util.clock import Clock, SystemClock

log = structlog.get_logger()


class ClockWatch:
    """`on_look` is called with the seconds that the machine's clock is ahead of ours, and whether it just stepped."""

    def __init__(self, clock: Clock, on_look: Callable[[float, bool], None]) -> None:
        self._clock, self._on_look = clock, on_look
        self._last = self._sample()

    def look(self) -> None:
        sample = self._sample()
        step = stepped(self._last, sample)
        self._last = sample
        ahead = sample.wall - self._clock.now()
        if step:
            what = "schedules, ages and waits continue with the clock as it was at start; restart to use the new time"
            log.warning("clock.stepped", seconds=round(step, 1), ahead=round(ahead, 1), consequence=what)
        self._on_look(ahead, bool(step))

    def _sample(self) -> ClockSample:
        return ClockSample(self._clock.wall(), self._clock.monotonic())


def follow_store(clock: SystemClock, store: Store) -> None:
    """Continue from the clock of the store's server, if it has one: all replicas then agree on the time."""
    now = store.clock()
    if now is not None:
        clock.follow(now)
