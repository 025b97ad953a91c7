"""Parsed bodies take many times their size: it is estimated before parsing, and bounded per request and in total."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrainer.sources.http.refusal import Refusal, not_now

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 128 << 20
"""Estimated bytes over all requests."""
OF_ONE = 64 << 20
"""Estimated bytes of one request, unless `max_body` is larger than usual."""
PER_BYTE = 16
"""Estimated bytes per byte of a larger `max_body`."""
# Bytes in CPython 3.11: a map with one key, a list, a value beside others, a key with its slot.
_MAP, _LIST, _VALUE, _KEY = 200, 72, 40, 60


def estimate(body: bytes) -> int:
    """Estimate the bytes that parsed JSON takes, by counting its punctuation without parsing.

    Punctuation within strings counts too, so the estimate is rather too high.
    """
    count = body.count
    return 2 * len(body) + _MAP * count(b"{") + _LIST * count(b"[") + _VALUE * count(b",") + _KEY * count(b":")


class ParseMemory:
    """A memory budget shared by requests, for one event loop only."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once, self._held = at_once, 0

    @contextmanager
    def hold(self, body: bytes, max_body: int) -> Iterator[ReservedMemory]:
        """Reserve what the body will take. Raise Refusal 413 if that is too much for one request, 503 if for all."""
        held = ReservedMemory(self, max(OF_ONE, PER_BYTE * max_body))
        try:
            held.add(body)
            yield held
        finally:
            self._held -= held.weight

    def take(self, weight: int, mine: int) -> None:
        """Reserve. Raise Refusal 503 if others leave no room; ``mine`` is what the request has reserved already."""
        if self._held > mine and self._held + weight > self._at_once:
            raise not_now("too much data is being parsed at once", 1)
        self._held += weight


class ReservedMemory:
    """The reservation of one request; ``most`` is its limit."""

    def __init__(self, memory: ParseMemory, most: int) -> None:
        self.weight = 0
        self._memory, self._most = memory, most

    def add(self, body: bytes) -> None:
        """Reserve for the body, or for JSON embedded in it in another encoding. Raise Refusal 413 or 503."""
        weight = estimate(body)
        if self.weight + weight > self._most:
            raise Refusal(
                413,
                f"{len(body)} bytes with so many lists, maps and values take {self.weight + weight >> 20} MiB once "
                f"read; at most {self._most >> 20} MiB are allowed (more with a larger max_body): send less at once",
                {"Connection": "close"},
            )
        self._memory.take(weight, self.weight)
        self.weight += weight
