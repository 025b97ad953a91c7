"""How many rows of data a text file holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 1 << 20
_HEADERS = {".csv": 1, ".jsonl": 0}


class StoppedError(Exception):
    """Counting was given up, as it was asked to be."""


def has_rows(key: str) -> bool:
    """Tell whether rows of such a file can be counted."""
    return Path(key).suffix.lower() in _HEADERS


def count_rows(file: BinaryIO, key: str, size: int, stopped: Callable[[], bool]) -> int:
    """Count the lines in the first `size` bytes of a `.csv` (less its header) or `.jsonl` file.

    A file that grows as fast as it is read has an end all the same. Raise StoppedError once `stopped`, or OSError.
    """
    lines, last, left = 0, b"\n", size
    while left and (chunk := file.read(min(left, _CHUNK))):
        if stopped():
            raise StoppedError
        left -= len(chunk)
        lines += chunk.count(b"\n")
        last = chunk[-1:]
    return max(0, lines + (last != b"\n") - _HEADERS[Path(key).suffix.lower()])
