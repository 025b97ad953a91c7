"""How many rows of data a text file holds, counted in pieces: a huge file must not hold up the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 1 << 30
"""Bytes that are counted before others have their turn."""
_CHUNK = 1 << 20
_HEADERS = {".csv": 1, ".jsonl": 0}


class StoppedError(Exception):
    """Counting was given up, as it was asked to be."""


@dataclass(slots=True)
class Count:
    """How far a file is counted. ``of`` is the fingerprint of what is counted."""

    of: str
    offset: int = 0
    lines: int = 0
    last: bytes = b"\n"


def has_rows(key: str) -> bool:
    """Tell whether rows of such a file can be counted."""
    return Path(key).suffix.lower() in _HEADERS


def count_on(count: Count, file: BinaryIO, size: int, stopped: Callable[[], bool]) -> bool:
    """Count up to `AT_ONCE` more bytes of the first `size` of a file; tell whether that was all.

    A file that grows as fast as it is read has an end all the same. Raise StoppedError once `stopped`, or OSError.
    """
    file.seek(count.offset)
    left = min(size - count.offset, AT_ONCE)
    while left and (chunk := file.read(min(left, _CHUNK))):
        if stopped():
            raise StoppedError
        left -= len(chunk)
        count.offset += len(chunk)
        count.lines += chunk.count(b"\n")
        count.last = chunk[-1:]
    return left > 0 or count.offset >= size


def rows(count: Count, key: str) -> int:
    """Return the rows of a `.csv` (less its header) or `.jsonl` file that was counted to its end."""
    return max(0, count.lines + (count.last != b"\n") - _HEADERS[Path(key).suffix.lower()])
