"""Files that somebody else puts in place, read so that none can hold us up: regular ones, and only so much of them."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TRIES = 3
"""A file that is written while it is read is read so many times."""
_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a FIFO"),
    (stat.S_ISSOCK, "it is a socket"),
    (stat.S_ISCHR, "it is a device"),
    (stat.S_ISBLK, "it is a device"),
)
_WORDS = {errno.ENXIO: "it is a socket", errno.ELOOP: "it is a link that leads to itself"}


class UnreadableFileError(Exception):
    """Says in a few words why a file cannot be read."""


def read_regular(file: str, most: int) -> bytes:
    """Return the bytes of a file, at most so many. Raise UnreadableFileError for anything else, without waiting for it.

    What is being written meanwhile is read again, and refused if that does not end.
    """
    for _ in range(TRIES):
        content, whole = _once(file, most)
        if whole:
            return content
    raise UnreadableFileError("it changes while it is read")


def check_regular(file: str, most: int) -> None:
    """Raise UnreadableFileError if the file could not be read now."""
    descriptor = _open(file)
    try:
        _check(os.fstat(descriptor), most)
    finally:
        os.close(descriptor)


def in_words(size: int) -> str:
    return f"{size // 2**20} MiB" if size >= 2**20 else f"{size // 2**10} KiB"


def _once(file: str, most: int) -> tuple[bytes, bool]:
    """The content, and whether it stayed the same while it was read."""
    descriptor = _open(file)
    try:
        before = os.fstat(descriptor)
        _check(before, most)
        content = b"".join(_pieces(descriptor, most))
        after = os.fstat(descriptor)
    except OSError as error:
        raise UnreadableFileError(_why(error)) from None
    finally:
        os.close(descriptor)
    same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    return content, same


def _open(file: str) -> int:
    """Opened without waiting for whoever may be at the other end."""
    try:
        return os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise UnreadableFileError(_why(error)) from None
    except ValueError:  # a NUL, or what no file system can write
        raise UnreadableFileError("its name is none that a file can have") from None


def _check(found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableFileError(next((words for is_one, words in _KINDS if is_one(found.st_mode)), "it is no file"))
    if found.st_size > most:
        raise UnreadableFileError(_too_large(most))


def _pieces(descriptor: int, most: int) -> Iterator[bytes]:
    """A file may hold more than it says, or grow."""
    left = most
    while piece := os.read(descriptor, min(left + 1, 2**20)):
        left -= len(piece)
        if left < 0:
            raise UnreadableFileError(_too_large(most))
        yield piece


def _too_large(most: int) -> str:
    return f"it is larger than {in_words(most)}"


def _why(error: OSError) -> str:
    return _WORDS.get(error.errno or 0) or error.strerror or str(error)
