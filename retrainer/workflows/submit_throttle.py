"""How fast an API server that fails is asked again: not at all for a while, then by one, two, four at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.util.clock import Clock

PATIENCE = 3
"""Failures in a row before everybody pauses; a single one may be the fate of a single request."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0


class SubmitThrottle:
    """Shared by all who submit; safe to use from several threads."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = most
        self._failures = 0
        self._resume_at = 0.0

    def allowed(self) -> int:
        """So many submissions may be under way now."""
        with self._lock:
            return self._limit if self._clock.monotonic() >= self._resume_at else 0

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._limit = min(self._most, self._limit * 2)

    def failed(self, retry_after: float | None = None) -> None:
        """Note that the server did not do its part; `retry_after` is its own wish, in seconds."""
        with self._lock:
            self._failures += 1
            pause = retry_after or 0.0
            if self._failures >= PATIENCE:
                self._limit = 1
                pause = max(pause, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - PATIENCE, 10)))
            self._resume_at = max(self._resume_at, self._clock.monotonic() + pause)
