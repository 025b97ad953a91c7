"""Delivers a refusal to a client that is still sending, by reading and discarding the rest of its data for a while.

Closing a socket with unread data resets the connection, and the reset discards the response. The client then sees a
lost connection instead of "413, send less at once", and sends the same again, for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LONGEST = 2.0
"""Seconds for which received data is discarded."""
MOST = 16 << 20
"""Bytes that are discarded."""


class Lingering:
    """A transport for uvicorn that wraps another one and changes only how it closes.

    ``sending``: returns whether the client has not sent the whole body yet.
    """

    def __init__(
        self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, sending: Callable[[], bool]
    ) -> None:
        self._transport, self._loop, self._sending = transport, loop, sending
        self._timer: asyncio.TimerHandle | None = None
        self._left = MOST

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def lingers(self) -> bool:
        return self._timer is not None

    def is_closing(self) -> bool:
        return self.lingers or self._transport.is_closing()

    def close(self) -> None:
        """Send end-of-file, then close when the client does or after a timeout; at once if called again."""
        if self.lingers or self._transport.is_closing() or not self._sending():
            self.end()
            return
        self._timer = self._loop.call_later(LONGEST, self.end)
        if self._transport.can_write_eof():  # TLS has no half-closed connections
            self._transport.write_eof()
        self._transport.resume_reading()

    def discard(self, count: int) -> None:
        """Count received bytes that are discarded."""
        self._left -= count
        if self._left < 0:
            self.end()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()
