"""The only place that asks the machine what time it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch (UTC). Never goes backwards."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def wall(self) -> float:
        """What the machine's clock says, in seconds since the epoch (UTC). It may be set, forwards or back."""


STEP = 5.0
"""Seconds by which a clock may differ between two looks and count as running: NTP slews by less."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What two clocks said at one moment."""

    wall: float
    monotonic: float


def stepped(before: Sample, after: Sample) -> float:
    """By how many seconds the wall clock was set between two looks; 0 if it only ran.

    A machine that slept steps too: its monotonic clock stood still meanwhile.
    """
    step = (after.wall - before.wall) - (after.monotonic - before.monotonic)
    return step if abs(step) > STEP else 0.0


class SystemClock:
    """The wall clock as it was at start, plus monotonic elapsed time: a jumping wall clock moves no deadline."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()  # noqa: TID251

    def follow(self, now: float) -> None:
        """From here on go by another clock that says ``now``, such as the database's; for whoever has not begun."""
        self._offset = now - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()  # noqa: TID251
