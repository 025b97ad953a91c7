"""Rescue the data of a store whose file was removed or replaced, while this process still has it open.

The data was acknowledged as durable. Existing files are never overwritten.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.store.sqlite_file import SIDES
from retrainer.util.regular_files import sync
from retrainer.util.supervision import beat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.store.sqlite_file import SqliteFile

_PIECE = 1 << 20
_PAGES = 4096
"""Pages copied between two heartbeats of the thread: a large store takes minutes."""


def rescue(connection: sqlite3.Connection, held: SqliteFile) -> Path | None:
    """Write the data to a new file and return its path; None if this is not needed.

    It is not needed for a file that was moved, or whose volume is gone: it is complete under another name. Nor for one
    that was replaced by its own copy: that copy continues with the WAL beside it.

    Raise OSError or sqlite3.Error; nothing was written then.
    """
    if not held.is_removed:
        return None
    _make_folder(held)
    if os.path.lexists(held.path) and _same_content(held):
        return None
    draft = _write_down(connection, next(_free(held.path, "draft")))
    return _settle(held, draft)


def _free(path: Path, word: str) -> Iterator[Path]:
    """Yield unused names beside ``path``, best first. In containers, every process may have the same pid."""
    first = f"{path}.{word}-{os.getpid()}"
    names = (Path(f"{first}-{number}" if number > 1 else first) for number in count(1))
    return (name for name in names if not os.path.lexists(name))


def _make_folder(held: SqliteFile) -> None:
    """Create the folder, but not on another volume: the file would be hidden when the store's volume is mounted."""
    nearest = next(folder for folder in held.path.absolute().parents if folder.exists())
    if nearest.stat().st_dev != os.fstat(held.descriptor).st_dev:
        raise OSError(f"{nearest} is on another volume than the store was")
    held.path.parent.mkdir(parents=True, exist_ok=True)


def _write_down(connection: sqlite3.Connection, draft: Path) -> Path:
    """Write a complete copy to ``draft``, or nothing."""
    try:
        with closing(sqlite3.connect(draft)) as copy:
            connection.backup(copy, pages=_PAGES, progress=lambda *_: beat())
        sync(draft)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _settle(held: SqliteFile, draft: Path) -> Path:
    """Move the complete copy to the path of the store. It is now the only copy, so nothing here may raise."""
    target = _named(draft, held.path)
    with suppress(OSError):
        for side in SIDES:  # they belong to the removed file; the copy has their content
            if held.owns(side):
                Path(f"{held.path}{side}").unlink()
        sync(target.parent)
    return target


def _named(draft: Path, wanted: Path) -> Path:
    """Give the draft the wanted name, or another one if a file is there by now. Return its final name."""
    for target in chain((wanted,), _free(wanted, "lost")):
        try:
            os.link(draft, target)
        except FileExistsError:
            continue
        except OSError:  # e.g. a volume without hard links
            return draft
        with suppress(OSError):
            draft.unlink()
        return target
    raise AssertionError("there is always one more name")


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
