"""Responses of servers are read within limits, also when they are compressed."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import httpx
import pytest

from retrainer.sources.responses import TooLargeError, read_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST = 1000


def answer(body: bytes, encoding: str = "", piece: int = 100) -> httpx.Response:
    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), piece):
            yield body[at : at + piece]

    headers = {"content-encoding": encoding} if encoding else {}
    return httpx.Response(200, headers=headers, stream=_Stream(pieces))


class _Stream(httpx.SyncByteStream):
    def __init__(self, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        pytest.param(b"x" * LARGEST, "", id="plain"),
        pytest.param(b"x" * LARGEST, "identity", id="plain, and said so"),
        pytest.param(gzip.compress(b"x" * LARGEST), "gzip", id="gzip"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_what_fits_is_read(body: bytes, encoding: str) -> None:
    expected = gzip.decompress(body) if encoding == "gzip" else body
    assert read_body(answer(body, encoding), LARGEST, lambda: True) == expected


@pytest.mark.parametrize(
    ("body", "encoding", "error"),
    [
        pytest.param(b"x" * (LARGEST + 1), "", TooLargeError, id="plain"),
        pytest.param(gzip.compress(b"x" * (LARGEST + 1)), "gzip", TooLargeError, id="gzip"),
        pytest.param(gzip.compress(b" " * 200_000_000, 1), "gzip", TooLargeError, id="a bomb"),
        pytest.param(gzip.compress(gzip.compress(b"x")), "gzip, gzip", ValueError, id="gzip in gzip"),
        pytest.param(b"x", "br", ValueError, id="nobody asked for it"),
        pytest.param(b"x" * 50, "gzip", ValueError, id="no gzip"),
        pytest.param(gzip.compress(b"x" * 500)[:-9], "gzip", ValueError, id="cut short"),
    ],
)
def test_what_does_not_is_refused_early(body: bytes, encoding: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        read_body(answer(body, encoding), LARGEST, lambda: True)


def test_what_drips_ends_when_its_time_is_over() -> None:
    left = iter([True, True, False])
    with pytest.raises(TimeoutError):
        read_body(answer(b" " * 900, piece=1), LARGEST, lambda: next(left))
