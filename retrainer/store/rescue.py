"""What was accepted into a file that somebody removed or replaced is written down again, while it is still open.

Whoever sent it was told that it is durable. Nothing that lies there now is overwritten.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.store.sqlite_file import SIDES
from retrainer.util.supervision import beat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.store.sqlite_file import SqliteFile

_PIECE = 1 << 20
_PAGES = 4096
"""Pages that are copied between two signs of life: a large store takes minutes."""


def rescue(connection: sqlite3.Connection, held: SqliteFile) -> Path | None:
    """Return where it was written to; None if nothing had to be. Raise OSError or sqlite3.Error: then nothing was.

    A file that was moved, or whose volume is gone, still has all under another name. One that was replaced by a copy of
    itself goes on with the log that lies beside it.
    """
    if not held.is_removed:
        return None
    _make_folder(held)
    if os.path.lexists(held.path) and _same_content(held):
        return None
    draft = _write_down(connection, next(_free(held.path, "draft")))
    return _settle(held, draft)


def _free(path: Path, word: str) -> Iterator[Path]:
    """Names beside it that nothing has, best first; in a container each process has the same number."""
    first = f"{path}.{word}-{os.getpid()}"
    names = (Path(f"{first}-{number}" if number > 1 else first) for number in count(1))
    return (name for name in names if not os.path.lexists(name))


def _make_folder(held: SqliteFile) -> None:
    """Not where another volume was: what is written there would be hidden once that is back."""
    nearest = next(folder for folder in held.path.absolute().parents if folder.exists())
    if nearest.stat().st_dev != os.fstat(held.descriptor).st_dev:
        raise OSError(f"{nearest} is on another volume than the store was")
    held.path.parent.mkdir(parents=True, exist_ok=True)


def _write_down(connection: sqlite3.Connection, draft: Path) -> Path:
    """All of it or nothing, under a name of its own."""
    try:
        with closing(sqlite3.connect(draft)) as copy:
            connection.backup(copy, pages=_PAGES, progress=lambda *_: beat())
        _sync(draft)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def _settle(held: SqliteFile, draft: Path) -> Path:
    """Move what is complete to where it is looked for. From here on it is the only copy: nothing may raise."""
    target = _named(draft, held.path)
    with suppress(OSError):
        for side in SIDES:  # they belong to what was removed, and all that they held is in the copy
            if held.owns(side):
                Path(f"{held.path}{side}").unlink()
        _sync(target.parent)
    return target


def _named(draft: Path, wanted: Path) -> Path:
    """Return the name that it has in the end. Somebody may have put a backup where it was wanted in the meantime."""
    for target in chain((wanted,), _free(wanted, "lost")):
        try:
            os.link(draft, target)
        except FileExistsError:
            continue
        except OSError:  # such as a volume without second names
            return draft
        with suppress(OSError):
            draft.unlink()
        return target
    raise AssertionError("there is always one more name")


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
