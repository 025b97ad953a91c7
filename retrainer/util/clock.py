"""Clocks. No other module reads the time of the machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Epoch seconds (UTC). Never goes backwards."""

    def monotonic(self) -> float:
        """Seconds since a fixed but arbitrary time."""

    def wall(self) -> float:
        """Time of the machine's clock in epoch seconds (UTC). It may be set forwards or backwards."""


STEP = 5.0
"""Seconds by which two clocks may drift apart between two samples without a step: NTP slews by less."""


@dataclass(frozen=True, slots=True)
class ClockSample:
    """The time of two clocks at the same moment."""

    wall: float
    monotonic: float


def stepped(before: ClockSample, after: ClockSample) -> float:
    """Seconds by which the wall clock was set between two samples; 0 if it was not.

    A suspended machine causes a step too: its monotonic clock stops meanwhile.
    """
    step = (after.wall - before.wall) - (after.monotonic - before.monotonic)
    return step if abs(step) > STEP else 0.0


class SystemClock:
    """The wall clock at start plus monotonic elapsed time, so that a step of the wall clock moves no deadline."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # noqa: TID251

    def follow(self, now: float) -> None:
        """Continue from another clock's ``now``, such as the database's. To be called before work begins."""
        self._offset = now - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()  # noqa: TID251
