"""Reports rejected requests: always a count, log lines up to a limit, and 429 after too many failures."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()
WINDOW = 60.0
"""Seconds over which lines and failures are counted."""
MOST_LINES = 20
"""Log lines per endpoint and status in that time; the rest is one line with their number."""
MOST_FAILURES = 100
"""Wrong tokens and signatures per address in that time; further wrong ones are answered with 429."""
MOST_PEERS = 4096
"""Remembered addresses; those whose last failure is oldest are forgotten first."""


class Doorkeeper:
    """One for each server's event loop. ``count`` is called with the endpoint (source, `api`, `hooks`) and the status.

    A valid token or signature is always accepted, whatever came from its address before.
    """

    def __init__(self, count: Callable[[str, int], None]) -> None:
        self._count = count
        self._lines: dict[tuple[str, int], int] = {}
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def turn_away(self, door: str, peer: str, path: str, refusal: Refusal) -> Refusal:
        """Count and log a refusal. Return what to respond."""
        if refusal.status == 401 and self._insists(peer):
            refusal = Refusal(
                429,
                f"{refusal.detail}; more than {MOST_FAILURES} wrong ones a minute came from your address",
                {**refusal.headers, "Retry-After": f"{WINDOW:.0f}", "Connection": "close"},
            )
        self._count(door, refusal.status)
        if self._may_say((door, refusal.status)):
            facts = {"door": door, "peer": peer, "path": path[:200], "status": refusal.status}
            log.warning("web.refused", **facts, detail=refusal.detail)
        return refusal

    def _may_say(self, kind: tuple[str, int]) -> bool:
        lines = self._lines.get(kind)
        if lines is None:
            asyncio.get_running_loop().call_later(WINDOW, self._sum_up, kind)
        self._lines[kind] = (lines or 0) + 1
        return self._lines[kind] <= MOST_LINES

    def _sum_up(self, kind: tuple[str, int]) -> None:
        unsaid = self._lines.pop(kind) - MOST_LINES
        if unsaid > 0:
            log.warning("web.refused_more", door=kind[0], status=kind[1], lines_left_out=unsaid, seconds=WINDOW)

    def _insists(self, peer: str) -> bool:
        now = time.monotonic()
        since, failures = self._failures.pop(peer, (now, 0))
        if now - since > WINDOW:
            since, failures = now, 0
        self._failures[peer] = (since, failures + 1)
        if len(self._failures) > MOST_PEERS:
            self._failures.popitem(last=False)
        return failures >= MOST_FAILURES
