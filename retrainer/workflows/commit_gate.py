"""Holds a request back until the transaction that its run is created in is committed."""

from __future__ import annotations

import threading

PATIENCE = 2.0
"""Seconds to hold a request back. After that it is dropped, and its run is sent anew once it is committed."""


BRIEFLY = 0.001
"""Seconds to leave the interpreter's lock to whoever waits at the gate."""


class NotCommitted(Exception):
    """The run is not committed, or not in time. Nothing was sent, and nothing is to be stored about it."""


class CommitGate:
    """Closed until `decide`. One thread waits at it, another decides."""

    def __init__(self) -> None:
        self._decided = threading.Event()
        self._passed = threading.Event()
        self._lock = threading.Lock()
        self._committed = self._dropped = False

    def decide(self, *, committed: bool) -> bool:
        """Let the request go, or drop it. Return whether it was still held back."""
        with self._lock:
            self._committed = committed
            self._decided.set()
            return not self._dropped

    def yield_to_waiter(self) -> None:
        """Let the thread that waits go first: whoever decides would keep the interpreter's lock for much longer."""
        self._passed.wait(BRIEFLY)

    def wait(self) -> None:
        """Return once the run is committed. Raise NotCommitted."""
        self._decided.wait(PATIENCE)
        self._passed.set()
        with self._lock:
            self._dropped = self._dropped or not self._committed
            if self._dropped:
                raise NotCommitted
