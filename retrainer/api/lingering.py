"""A refusal reaches who is still sending: what comes behind it is read and thrown away for a moment.

A socket that is closed with something unread is reset, and the reset takes the answer with it. The sender then sees a
cut line instead of "413, send less at once", and sends the same again, for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

LONGEST = 2.0
"""Seconds for which what comes is thrown away."""
MOST = 16 << 20
"""Bytes."""


class Lingering:
    """A transport for uvicorn; all but how it closes is that of the one beneath it.

    ``sending`` tells whether the client still has to send the rest of a body.
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
        """Say that nothing more follows, and close once the client has, or after a moment; at once if asked again."""
        if self.lingers or self._transport.is_closing() or not self._sending():
            self.end()
            return
        self._timer = self._loop.call_later(LONGEST, self.end)
        self._transport.write_eof()
        self._transport.resume_reading()

    def discard(self, count: int) -> None:
        """So many bytes came that nobody reads."""
        self._left -= count
        if self._left < 0:
            self.end()

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport.close()
