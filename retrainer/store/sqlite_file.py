"""The file of a SQLite store: locked by inode, and watched, to ensure that the path still names the opened file.

If the file is removed or replaced, SQLite continues in the unnamed inode: commits succeed, and all data is lost after a
restart. Each commit and each health check therefore compares the file at the path with the open one.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK_AT = 1 << 62
"""The offset of a byte that nothing else locks. SQLite's lock bytes are at 2**30."""
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_FORMAT = slice(0, 24)
"""Header bytes: magic, page size, format versions. Neither CREATE INDEX nor VACUUM changes them."""
_PAGES = slice(28, 32)
_MARK = slice(68, 72)
_BIG_ENDIAN = struct.Struct(">I")
SIDES = ("-wal", "-shm")

Identity = tuple[int, int]
"""Device and inode."""


class SqliteFile:
    """Holds the file open and locked until `close`, so that no second process opens it by any name.

    The lock belongs to the open file description, not to the process (`F_OFD_SETLK`), and survives closing another
    descriptor of the same file. SQLite's own locks do not: while SQLite has the file open, nothing else may open and
    close it, and `close` must be called after SQLite has closed it.
    """

    def __init__(self, path: Path, descriptor: int, beside: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._beside = beside
        self._header = b""
        self._marks: set[bytes] = set()
        self._size = 0
        self._sides: dict[str, Identity] = {}

    @classmethod
    def open(cls, path: Path) -> SqliteFile:
        """Open or create the file. Raise StoreError if it is not a database, or if another process has it open."""
        path.parent.mkdir(parents=True, exist_ok=True)
        _check_kind(path)
        beside = _lock_beside(path)
        try:
            descriptor = _open(path)
        except BaseException:
            os.close(beside)
            raise
        held = cls(path, descriptor, beside)
        try:
            _lock(path, descriptor)
            _check_magic(path, descriptor)
        except BaseException:
            held.close()
            raise
        return held

    def begin_watch(self, mark: int) -> None:
        """Record the current identity of the files, for `trouble`. To be called while SQLite has the file open.

        ``mark`` is the store's `application_id`. The file may not have it yet, because it may still be in the WAL.
        """
        self._header = os.pread(self.descriptor, _HEADER, 0)
        self._marks = {self._header[_MARK], _BIG_ENDIAN.pack(mark)}
        self._size = os.fstat(self.descriptor).st_size
        self._sides = {side: found for side in SIDES if (found := _identity(f"{self.path}{side}")) is not None}

    def trouble(self) -> str:
        """Return why the file at the path is not the opened one, or an empty string. Takes a few microseconds."""
        before = self._size  # read first: another thread may see the file grow, and record that, meanwhile
        mine = os.fstat(self.descriptor)
        there = _identity(self.path)
        if there is None:
            what = "was removed" if mine.st_nlink == 0 else "no longer exists: it was moved, or its volume is gone"
            return f"{self.path}: the file {what}; nothing is accepted until it is back, or the daemon is restarted"
        if there != (mine.st_dev, mine.st_ino):
            return f"{self.path}: another file replaced it; after a restart the daemon continues with that one"
        for side, known in self._sides.items():
            if _identity(f"{self.path}{side}") != known:
                return f"{self.path}{side}: was removed or replaced under the running daemon; restart it"
        return self._overwritten(mine.st_size, before)

    def _overwritten(self, size: int, before: int) -> str:
        header = os.pread(self.descriptor, _HEADER, 0)
        same = not self._header or (header[_FORMAT] == self._header[_FORMAT] and header[_MARK] in self._marks)
        # A VACUUM by another process also shortens the file; the header then has the new length.
        if same and (size >= before or size >= _length(header)):
            self._size = size
            return ""
        return (
            f"{self.path}: was overwritten or cut while this daemon had it open; stop the daemon, and check it with "
            "`retrainer store check`"
        )

    @property
    def is_removed(self) -> bool:
        """Whether the open file has no name left."""
        return os.fstat(self.descriptor).st_nlink == 0

    def owns(self, side: str) -> bool:
        """Whether the side file (`-wal`, `-shm`) is the one that SQLite has open."""
        return side in self._sides and _identity(f"{self.path}{side}") == self._sides[side]

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._beside)


def _length(header: bytes) -> int:
    """Return the size in bytes of a file with this header after a complete checkpoint."""
    (page_size,) = struct.unpack(">H", header[16:18])
    (pages,) = _BIG_ENDIAN.unpack(header[_PAGES])
    return int(pages) * (65536 if page_size == 1 else int(page_size))


def _identity(path: Path | str) -> Identity | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _check_kind(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        _check_left_over(path)
        return
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; the folder must be readable for this user") from error
    if not stat.S_ISREG(mode):
        kind = "folder" if stat.S_ISDIR(mode) else "device, a pipe or a socket"
        raise StoreError(f"{path}: is a {kind}; name a file in `store.path`")


def _check_left_over(path: Path) -> None:
    """Refuse a WAL without its database: SQLite would delete it, and with it the last accepted data."""
    log = Path(f"{path}-wal")
    if log.is_file() and log.stat().st_size:
        raise StoreError(
            f"{path}: does not exist, but {log.name} next to it has the last accepted data; put the database back "
            "where it was, or move that file away to start with an empty store"
        )


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; the file must be writable for this user") from error


def in_use(path: Path) -> bool:
    """Whether a process, such as a daemon, has the store open. Takes no lock.

    Must be called before SQLite opens the file. Raise OSError if the file cannot be opened.
    """
    if not hasattr(fcntl, "F_OFD_GETLK"):  # not Linux
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCK_AT, 1, 0))
    except OSError:
        return False  # a file system without locks: no daemon runs on it either
    finally:
        os.close(descriptor)
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


@contextmanager
def unused(path: Path) -> Iterator[None]:
    """Keep the store locked, whether there is one or not, and do not create it. Raise StoreError if it is in use."""
    beside = _lock_beside(path)
    descriptor = -1
    try:
        if path.exists():
            _check_kind(path)
            descriptor = _open(path)
            _lock(path, descriptor)
        yield
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        os.close(beside)


def _lock(path: Path, descriptor: int) -> None:
    """Lock the inode: effective under every name of the file, and if the lock file is removed."""
    if not hasattr(fcntl, "F_OFD_SETLK"):  # not Linux: only the lock file is used
        return
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _LOCK_AT, 1, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        raise _taken(path) from None
    except OSError as error:
        raise StoreError(f"{path}: cannot be locked ({error.strerror}); the store must lie on a local disk") from error


def _lock_beside(path: Path) -> int:
    """Lock the file `.lock`, which older releases check."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}; the folder must be writable for this user") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise _taken(path) from None
    return descriptor


def _taken(path: Path) -> StoreError:
    return StoreError(f"{path}: another process has it open; stop that daemon first")


def _check_magic(path: Path, descriptor: int) -> None:
    begin = os.pread(descriptor, len(_MAGIC), 0)
    if begin and begin != _MAGIC:
        raise StoreError(f"{path}: is not a SQLite database; name another file in `store.path`, or move it away")
