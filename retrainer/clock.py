"""The only place that asks the machine what time it is."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch (UTC). Never goes backwards."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""


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
