"""Read files of users and other programs: regular files only, without waiting for a writer, with a size limit."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
TRIES = 3
"""Maximum number of reads of a file that is written at the same time."""
_KINDS = {
    stat.S_IFREG: "a regular file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NotRegularError(OSError):
    """The path is a link, folder, FIFO, socket or device; ``strerror`` says which."""


class TooLargeError(OSError):
    """The file is larger than the limit."""


class UnreadableFileError(Exception):
    """The message says in a few words why the file cannot be read."""


def kind(mode: int) -> str:
    """Name the kind of a file by its ``st_mode``."""
    return _KINDS.get(stat.S_IFMT(mode), "no file")


def in_words(size: int) -> str:
    return f"{size // 2**20} MiB" if size >= 2**20 else f"{size // 2**10} KiB"


def open_regular(path: str | Path, *, follow: bool = False) -> BinaryIO:
    """Open a regular file for reading, without blocking. Raise NotRegularError, or another OSError.

    A link is rejected; with ``follow``, its target is opened.
    """
    _check((os.stat if follow else os.lstat)(path).st_mode, path)  # opening a device may have side effects
    descriptor = os.open(path, _FLAGS | (0 if follow else os.O_NOFOLLOW))
    try:
        _check(os.fstat(descriptor).st_mode, path)  # it may have been replaced in between
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: str | Path, limit: int) -> bytes:
    """Read a regular file of at most `limit` bytes. Raise NotRegularError, TooLargeError or another OSError."""
    with open_regular(path) as file:
        return _read(file, path, limit)


def read_settled(path: str, limit: int) -> bytes:
    """Read a file of a user, following links: at most `limit` bytes. Raise UnreadableFileError.

    A file that changes during the read is read again, and rejected if it keeps changing.
    """
    try:
        for _ in range(TRIES):
            with open_regular(path, follow=True) as file:
                before = os.fstat(file.fileno())
                content = _read(file, path, limit)
                after = os.fstat(file.fileno())
            if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
                return content
    except (OSError, ValueError) as error:
        raise UnreadableFileError(_why(error, limit)) from None
    raise UnreadableFileError("it changes while it is read")


def check_regular(path: str, limit: int) -> None:
    """Raise UnreadableFileError if `read_settled` could not read the file now."""
    try:
        with open_regular(path, follow=True) as file:
            _check_size(os.fstat(file.fileno()).st_size, path, limit)
    except (OSError, ValueError) as error:
        raise UnreadableFileError(_why(error, limit)) from None


def _read(file: BinaryIO, path: str | Path, limit: int) -> bytes:
    _check_size(os.fstat(file.fileno()).st_size, path, limit)
    data = file.read(limit + 1)  # the reported size may be wrong
    _check_size(len(data), path, limit)
    return data


def _check_size(size: int, path: str | Path, limit: int) -> None:
    if size > limit:
        raise TooLargeError(0, f"is larger than {limit:,} bytes", str(path))


def _check(mode: int, path: str | Path) -> None:
    if not stat.S_ISREG(mode):
        raise NotRegularError(0, f"is {kind(mode)}, not a regular file", str(path))


def _why(error: OSError | ValueError, limit: int) -> str:
    """The reason in a few words, to follow the name of the file."""
    if isinstance(error, ValueError):  # the name has a NUL or cannot be encoded
        return "its name is none that a file can have"
    if isinstance(error, TooLargeError):
        return f"it is larger than {in_words(limit)}"
    if isinstance(error, NotRegularError):
        return f"it {error.strerror}".removesuffix(", not a regular file")
    return "it is a link that leads to itself" if error.errno == errno.ELOOP else error.strerror or str(error)


def sync(path: Path) -> None:
    """Make a file durable, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
