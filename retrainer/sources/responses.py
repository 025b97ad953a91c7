"""Responses of HTTP servers, bounded in time and in size, before and after decompression."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx

ASKED_FOR = {"Accept-Encoding": "gzip"}
"""Header of each request: only gzip can be decompressed within a bound."""


class TooLargeError(Exception):
    """The response is larger than allowed. Reading stopped there."""


def read_body(answer: httpx.Response, largest: int, in_time: Callable[[], bool]) -> bytes:
    """Read a streamed response of at most ``largest`` bytes, raw and decompressed, with our secrets masked.

    Raise TooLargeError; TimeoutError as soon as ``in_time`` returns false; ValueError for an encoding that was not
    requested, or for invalid gzip.
    """
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise ValueError(f"content encoding {encoding:.40}, which was not requested")
    stream = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body, sent = bytearray(), 0
    for part in answer.iter_raw():
        sent += len(part)
        try:
            body += stream.decompress(part, largest + 1 - len(body)) if stream is not None else part
        except zlib.error as error:
            raise ValueError(f"not gzip: {error}") from None
        if len(body) > largest or sent > largest:
            raise TooLargeError
        if not in_time():
            raise TimeoutError
    if stream is not None and not stream.eof:
        raise ValueError("the gzip stream is cut short")
    return SECRETS.mask_bytes(bytes(body))
