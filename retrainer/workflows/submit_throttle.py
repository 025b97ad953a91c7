"""Throttles submissions to a failing API server: none for a while, then one, two, four at once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from retrainer.workflows.base import Ambiguous, Later

if TYPE_CHECKING:
    from retrainer.util.clock import Clock
    from retrainer.workflows.base import WorkflowError

PATIENCE = 3
"""Consecutive failures before all submissions pause. A single failure may concern a single request only."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 15.0
TROUBLES = frozenset({"connect", "tls", "401", "429"})
"""Codes of Later that concern the server, not the run."""


class SubmitThrottle:
    """Shared by all submitting threads. Thread-safe."""

    def __init__(self, most: int, clock: Clock) -> None:
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._limit = most
        self._failures = 0
        self._resume_at = 0.0

    def allowed(self) -> int:
        """Return how many submissions may be in progress now."""
        with self._lock:
            return self._limit if self._clock.monotonic() >= self._resume_at else 0

    def succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._limit = min(self._most, self._limit * 2)

    def record(self, error: WorkflowError) -> None:
        """Record an error of a request, if it concerns the server."""
        if isinstance(error, Ambiguous):
            self.failed()
        elif isinstance(error, Later) and error.code in TROUBLES:
            self.failed(error.retry_after)

    def failed(self, retry_after: float | None = None) -> None:
        """Record a failure of the server. `retry_after`: seconds that the server requested."""
        with self._lock:
            self._failures += 1
            pause = retry_after or 0.0
            if self._failures >= PATIENCE:
                self._limit = 1
                pause = max(pause, min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._failures - PATIENCE, 10)))
            self._resume_at = max(self._resume_at, self._clock.monotonic() + pause)
