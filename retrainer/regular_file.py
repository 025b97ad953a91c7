"""Reading files that others put there: regular files only, without waiting for a writer, up to a limit."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


class NotRegularError(OSError):
    """It is a link, a folder, a FIFO, a socket or a device; ``strerror`` says which."""


class TooLargeError(OSError):
    """It holds more than may be read."""


def kind(mode: int) -> str:
    """Name the kind of a file by its ``st_mode``."""
    names = {
        stat.S_IFREG: "a regular file",
        stat.S_IFDIR: "a folder",
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a FIFO",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return names.get(stat.S_IFMT(mode), "no file")


def open_regular(path: str | Path) -> BinaryIO:
    """Open a regular file for reading; never waits. Raise NotRegularError, for links too, or another OSError."""
    _check(os.lstat(path).st_mode, path)  # opening a device may have effects of its own
    descriptor = os.open(path, _FLAGS)
    try:
        _check(os.fstat(descriptor).st_mode, path)  # it may have been replaced since
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. Raise NotRegularError, TooLargeError or another OSError."""
    with open_regular(path) as file:
        data = file.read(limit + 1)  # what it says of its size may have changed
    if len(data) > limit:
        raise TooLargeError(0, f"is larger than {limit:,} bytes", str(path))
    return data


def _check(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        raise NotRegularError(0, f"is {kind(mode)}, not a regular file", str(path))
