"""Counts the rows of a text file in steps, so that a huge file does not block the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

AT_ONCE = 1 << 30
"""Bytes to count before other files are processed."""
_CHUNK = 1 << 20
_HEADERS = {".csv": 1, ".jsonl": 0}


class StoppedError(Exception):
    """Counting was stopped on request."""


@dataclass(slots=True)
class Count:
    """How far a file is counted. ``of`` is the fingerprint of the counted content."""

    of: str
    offset: int = 0
    lines: int = 0
    last: bytes = b"\n"


def has_rows(key: str) -> bool:
    """Return whether the rows of such a file can be counted."""
    return Path(key).suffix.lower() in _HEADERS


def count_on(count: Count, file: BinaryIO, size: int, stopped: Callable[[], bool]) -> bool:
    """Count up to `AT_ONCE` more bytes of a file's first `size` bytes. Return whether the count is complete.

    `size` bounds the work for a file that grows while it is read. Raise StoppedError once `stopped`, or OSError.
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
    """Return the rows of a completely counted `.csv` (less its header) or `.jsonl` file."""
    return max(0, count.lines + (count.last != b"\n") - _HEADERS[Path(key).suffix.lower()])
