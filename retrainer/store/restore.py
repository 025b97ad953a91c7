"""Put a backup in the place of a SQLite store. What was there is kept beside it."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.store.backup import copy_store
from retrainer.store.base import StoreError
from retrainer.store.migrate import refuse
from retrainer.store.sqlite_file import SIDES, unused
from retrainer.util.new_file import draft_of
from retrainer.util.regular_files import sync

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Restored:
    """``before`` is where the store is that was there; None if there was none."""

    path: Path
    schema: str
    before: Path | None


def restore(backup: Path, path: Path, progress: Callable[[int, int], None]) -> Restored:
    """Replace the store ``path`` by a copy of ``backup``, under the lock of the daemon. Raise StoreError.

    The log (`-wal`) of the old store is moved with it: SQLite would mix it into the new one. Nothing is changed
    unless the backup was copied completely and found intact.
    """
    path = path.resolve()
    if not path.parent.is_dir():
        raise StoreError(f"{path}: there is no folder {path.parent}; create it, or name another")
    try:
        with draft_of(path) as draft, unused(path):
            schema = copy_store(backup, draft, progress, in_use=False)
            refuse(schema, str(backup))
            _take_rights(draft, path)
            before = _move_away(path)
            draft.rename(path)
            sync(path.parent)
    except sqlite3.Error as error:
        raise StoreError(f"{backup}: could not be read: {error}") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}") from error
    return Restored(path, schema, before)


def _take_rights(draft: Path, path: Path) -> None:
    """Give the draft the owner and mode of the store, or of its folder: the daemon may run as another user."""
    if path.exists():
        draft.chmod(path.stat().st_mode & 0o777)
    owner = (path if path.exists() else path.parent).stat()
    if os.geteuid() == 0:
        os.chown(draft, owner.st_uid, owner.st_gid)


def _move_away(path: Path) -> Path | None:
    """Rename the store with its log, and remove its index (`-shm`), which a start writes anew.

    The file itself keeps its name as well until it is replaced: a daemon never finds none, and begins an empty one.
    """
    log, index = (Path(f"{path}{side}") for side in SIDES)
    before = _free(path)
    there = path.exists()
    if there:
        try:
            os.link(path, before)
        except OSError:  # e.g. a volume without hard links
            path.rename(before)
    if log.exists():
        log.rename(f"{before}{SIDES[0]}")
    index.unlink(missing_ok=True)
    sync(path.parent)
    return before if there else None


def _free(path: Path) -> Path:
    names = (Path(f"{path}.before-{number}") for number in count(1))
    return next(name for name in names if not any(os.path.lexists(f"{name}{side}") for side in ("", *SIDES)))
