"""What was accepted into a file that somebody removed or replaced is written down again, while it is still open.

Whoever sent it was told that it is durable. Nothing that lies there now is overwritten.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.store.sqlite_file import SIDES
from retrainer.supervisor import beat

if TYPE_CHECKING:
    from retrainer.store.sqlite_file import SqliteFile

_PIECE = 1 << 20
_PAGES = 4096
"""Pages that are copied between two signs of life: a large store takes minutes."""


def rescue(connection: sqlite3.Connection, held: SqliteFile) -> Path | None:
    """Return where it was written to; None if nothing had to be. Raise OSError or sqlite3.Error.

    A file that was moved, or whose volume is gone, still has all under another name. One that was replaced by a copy of
    itself goes on with the log that lies beside it.
    """
    if not held.is_removed:
        return None
    _make_folder(held)
    if not os.path.lexists(held.path):
        return _write_down(connection, held, held.path)
    if _same_content(held):
        return None
    return _write_down(connection, held, Path(f"{held.path}.lost-{os.getpid()}"))


def _make_folder(held: SqliteFile) -> None:
    """Not where another volume was: what is written there would be hidden once that is back."""
    nearest = next(folder for folder in held.path.absolute().parents if folder.exists())
    if nearest.stat().st_dev != os.fstat(held.descriptor).st_dev:
        raise OSError(f"{nearest} is on another volume than the store was")
    held.path.parent.mkdir(parents=True, exist_ok=True)


def _write_down(connection: sqlite3.Connection, held: SqliteFile, target: Path) -> Path:
    """All of it or nothing: under a name of its own, then under the one that is wanted, if that is still free."""
    draft = Path(f"{held.path}.draft-{os.getpid()}")
    try:
        with closing(sqlite3.connect(draft)) as copy:
            connection.backup(copy, pages=_PAGES, progress=lambda *_: beat())
        _sync(draft)
        os.link(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    for side in SIDES:  # they belong to what was removed, and all that they held is in the copy
        if held.owns(side):
            Path(f"{held.path}{side}").unlink()
    _sync(target.parent)
    return target


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same_content(held: SqliteFile) -> bool:
    at = 0
    with suppress(OSError), held.path.open("rb") as other:
        while piece := other.read(_PIECE):
            beat()
            if piece != os.pread(held.descriptor, len(piece), at):
                return False
            at += len(piece)
        return at == os.fstat(held.descriptor).st_size
    return False
