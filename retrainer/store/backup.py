"""Copy a SQLite store to a file, also while a daemon has it open.

The copy is made in one read transaction on a connection of its own, which is read-only. It therefore is the store as it
was when the copy began, whatever is committed meanwhile. Without that transaction, SQLite would begin the copy again
after each commit of another process, and under load it would never end.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.store.base import StoreError
from retrainer.util.new_file import draft_of, new_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from retrainer.util.clock import Clock

PAGES = 2048
"""Pages (8 MiB) that are copied and synced at once. A sync of a whole large copy would delay those of the daemon."""
_PATIENCE = 30.0
"""Seconds to wait for a lock, as while a starting daemon recovers the log of a killed one."""

DRAFT = ".backup"
"""The end of the name of a draft that `snapshot` makes, before what `draft_of` adds."""
_UNCHANGING = "&immutable=1"


@dataclass(frozen=True, slots=True)
class Backup:
    """A complete, checked and durable copy. ``at`` is the time of its content, in seconds since the epoch."""

    path: Path
    at: float
    seconds: float
    bytes: int
    schema: str


@dataclass(frozen=True, slots=True)
class BackupContent:
    """The bytes of a complete backup, to be read once, and their checksum. ``at`` is as in `Backup`."""

    file: BinaryIO
    at: float
    bytes: int
    schema: str
    sha256: str


def back_up(source: Path, target: Path, clock: Clock, progress: Callable[[int, int], None]) -> Backup:
    """Copy the store ``source`` to the new file ``target``. Call ``progress`` with the pages that are done, and all.

    Raise StoreError. Then there is no ``target``, unless it was there before: it is never overwritten.
    """
    began = clock.monotonic()
    try:
        with new_file(target) as draft:
            at = clock.now()
            schema = copy_store(source, draft, progress)
            size = draft.stat().st_size
    except sqlite3.Error as error:
        raise StoreError(f"{source}: could not be copied to {target}: {error}") from error
    except OSError as error:
        raise StoreError(f"{target}: {error.strerror or error}") from error
    return Backup(target, at, clock.monotonic() - began, size, schema)


def snapshot(source: Path, folder: Path, clock: Clock, progress: Callable[[int, int], None]) -> BackupContent:
    """Copy the store ``source`` into a file without a name in ``folder``, whose space is free once it is closed.

    Raise StoreError.
    """
    try:
        with draft_of(folder / f"{source.name}{DRAFT}") as draft:
            at = clock.now()
            schema = copy_store(source, draft, progress)
            file = draft.open("rb")
        return contained(file, at, schema)
    except sqlite3.Error as error:
        raise StoreError(f"{source}: could not be copied to {folder}: {error}") from error
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error


def contained(file: BinaryIO, at: float, schema: str) -> BackupContent:
    """Return an open file as the content of a backup. Read it once for its checksum. Raise OSError."""
    try:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # typeshed wants a buffer
        size = file.tell()
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return BackupContent(file, at, size, schema, digest)


def copy_store(source: Path, draft: Path, progress: Callable[[int, int], None], *, in_use: bool = True) -> str:
    """Write a checked copy of a store to the empty file ``draft``, and sync it. Return its schema.

    Without ``in_use``, no other process changes the source, and nothing is created beside it. Raise StoreError,
    sqlite3.Error or OSError.
    """
    more = "" if in_use or Path(f"{source}-wal").exists() else _UNCHANGING
    descriptor = os.open(draft, os.O_RDONLY)
    try:
        with closing(_connect(source, "ro", more)) as store, closing(_connect(draft, "rw")) as copy:
            schema = _begin(store, source)
            # The draft is discarded after a failure, and synced here: SQLite needs neither journal nor syncs for it.
            copy.execute("PRAGMA journal_mode=OFF").close()
            copy.execute("PRAGMA synchronous=OFF").close()

            def advance(_status: int, left: int, pages: int) -> None:
                os.fsync(descriptor)
                progress(pages - left, pages)

            store.backup(copy, pages=PAGES, progress=advance)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _check(draft, source)
    return schema


def _begin(store: sqlite3.Connection, source: Path) -> str:
    """Begin the read transaction. Return the schema of the store."""
    store.execute("BEGIN").close()
    if store.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
        raise StoreError(f"{source}: there is no store in it")
    ((schema,),) = store.execute("SELECT version_num FROM alembic_version").fetchall()
    return str(schema)


def _check(draft: Path, source: Path) -> None:
    """Raise StoreError if the copy is damaged. The file is read as it is: nothing is created beside it."""
    with closing(_connect(draft, "ro", _UNCHANGING)) as copy:
        found = [str(row[0]) for row in copy.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        problems = " ".join("; ".join(found).split())
        raise StoreError(f"{source}: its copy is damaged, and was removed; keep the backups before it: {problems}")


def _connect(path: Path, mode: str, more: str = "") -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode={mode}{more}"
    return sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)
