"""Reports rejected requests: always a count, log lines up to a limit, and 429 after too many failures."""

from __future__ import annotations

import asyncio
import ipaddress
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
"""Default of `http.max_wrong_tokens`: wrong tokens and signatures per address in that time."""
MOST_PEERS = 4096
"""Remembered addresses; those whose last failure is oldest are forgotten first."""


class Doorkeeper:
    """One for each server's event loop. ``count`` is called with the endpoint (source, `api`, `hooks`) and the status.

    Beyond ``most`` failures of an address in `WINDOW`, further ones are answered with 429. A valid token or signature
    is always accepted, whatever came from its address before. ``event`` is the name of the log lines.
    """

    def __init__(
        self, count: Callable[[str, int], None], most: int = MOST_FAILURES, event: str = "web.refused"
    ) -> None:
        self._count, self._most, self._event = count, most, event
        self._lines: dict[tuple[str, int], int] = {}
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def turn_away(self, door: str, peer: str, path: str, refusal: Refusal, **facts: str) -> Refusal:
        """Count and log a refusal, with further ``facts``. Return what to respond."""
        if refusal.status == 401 and self._insists(network_of(peer)):
            refusal = Refusal(
                429,
                f"{refusal.detail}; more than {self._most} wrong ones a minute came from your address",
                {**refusal.headers, "Retry-After": f"{WINDOW:.0f}", "Connection": "close"},
            )
        self._count(door, refusal.status)
        if self._may_say((door, refusal.status)):
            about = {"door": door, "peer": peer, "path": path[:200], "status": refusal.status, **facts}
            log.warning(self._event, **about, detail=refusal.detail)
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
            more = f"{self._event}_more"
            log.warning(more, door=kind[0], status=kind[1], lines_left_out=unsaid, seconds=WINDOW)

    def _insists(self, peer: str) -> bool:
        now = time.monotonic()
        since, failures = self._failures.pop(peer, (now, 0))
        if now - since > WINDOW:
            since, failures = now, 0
        self._failures[peer] = (since, failures + 1)
        if len(self._failures) > MOST_PEERS:
            self._failures.popitem(last=False)
        return failures >= self._most


def network_of(peer: str) -> str:
    """Return the address, of IPv6 its /64: everyone who has one such address has all of them."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address) or address.ipv4_mapped is not None:
        return peer
    return str(ipaddress.ip_network((address, 64), strict=False))
