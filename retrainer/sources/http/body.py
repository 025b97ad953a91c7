"""Request bodies, bounded in size (before and after decompression), in time, and in memory over all requests."""

from __future__ import annotations

import asyncio
import zlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from retrainer.sources.formats.payload import Unreadable
from retrainer.sources.http.refusal import Refusal, not_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

MEMORY = 64 << 20
_CLOSE = {"Connection": "close"}


class Bodies:
    """Reads bodies. Together they hold at most `memory` bytes; beyond that senders are told to retry."""

    def __init__(self, memory: int = MEMORY) -> None:
        self._free = memory

    @asynccontextmanager
    async def read(self, request: Request, max_size: int, timeout: float) -> AsyncIterator[bytes]:  # noqa: ASYNC109
        """Yield the body as sent. Raise Refusal 408, 413 or 503. Its memory counts until the context ends."""
        declared = request.headers.get("content-length", "0")
        if len(declared) > 18 or int(declared) > max_size:
            raise too_large(max_size)
        body = bytearray()
        try:
            await self._fill(body, request, max_size, timeout)
            yield bytes(body)
        finally:
            self._free += len(body)

    async def _fill(self, body: bytearray, request: Request, max_size: int, timeout: float) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                async for chunk in request.stream():
                    self._free -= len(chunk)
                    body += chunk
                    self._check(body, max_size)
        except TimeoutError:
            raise Refusal(408, f"the body took longer than {timeout:g} s (body_timeout)", _CLOSE) from None

    def _check(self, body: bytearray, max_size: int) -> None:
        if len(body) > max_size:
            raise too_large(max_size)
        if self._free < 0:
            raise not_now("too many large requests at once", 1)


def too_large(max_size: int) -> Refusal:
    return Refusal(413, f"the body is larger than {max_size} bytes (max_body); send less at once", _CLOSE)


def gunzip(raw: bytes, max_size: int) -> bytes:
    """Decompress. Raise Refusal 413 as soon as the result exceeds `max_size` bytes, Unreadable for invalid gzip."""
    stream = zlib.decompressobj(wbits=31)
    try:
        body = stream.decompress(raw, max_size + 1)
    except zlib.error as error:
        raise Unreadable(f"not gzip: {error}") from None
    if len(body) > max_size:
        raise too_large(max_size)
    if not stream.eof:
        raise Unreadable("the gzip stream is cut short")
    if stream.unused_data:
        raise Unreadable("data follows the gzip stream; send one member only")
    return body
