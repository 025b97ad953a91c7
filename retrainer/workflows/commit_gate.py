"""Holds a request back until the transaction that creates its run is committed."""

from __future__ import annotations

import threading

PATIENCE = 2.0
"""Seconds for which a request is held back. Then it is dropped, and sent again once its run is committed."""


BRIEFLY = 0.001
"""Seconds for which the interpreter lock is left to the waiting thread."""


class NotCommitted(Exception):
    """The run is not committed, or not in time. Nothing was sent, and nothing may be stored about it."""


class CommitGate:
    """Closed until `decide`. One thread waits, another decides."""

    def __init__(self) -> None:
        self._decided = threading.Event()
        self._passed = threading.Event()
        self._lock = threading.Lock()
        self._committed = self._dropped = False

    def decide(self, *, committed: bool) -> bool:
        """Release the request, or drop it. Return whether it was still held back."""
        with self._lock:
            self._committed = committed
            self._decided.set()
            return not self._dropped

    def yield_to_waiter(self) -> None:
        """Let the waiting thread run first: the deciding thread would keep the interpreter lock for much longer."""
        self._passed.wait(BRIEFLY)

    def wait(self) -> None:
        """Return once the run is committed. Raise NotCommitted."""
        self._decided.wait(PATIENCE)
        self._passed.set()
        with self._lock:
            self._dropped = self._dropped or not self._committed
            if self._dropped:
                raise NotCommitted
