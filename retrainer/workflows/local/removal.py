"""Removes what steps left: trees of any depth, with inaccessible folders, without following links."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: Path) -> bool:
    """Remove a file, or a folder with its content. Return whether nothing is left. Raises nothing."""
    with suppress(OSError):
        path.unlink()
        return True
    with suppress(OSError):
        top = os.open(path, _FOLDER)
        try:
            _clear(top)
        finally:
            os.close(top)
        path.rmdir()
    return not os.path.lexists(path)


def _clear(top: int) -> None:
    # Each folder is moved to the top before it is scanned, so that neither paths nor recursion get deep.
    folders = list(_subfolders(top, top))
    while folders:
        name = folders.pop()
        with suppress(OSError):
            below = os.open(name, _FOLDER, dir_fd=top)
            try:
                folders += _subfolders(below, top)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=top)


def _subfolders(folder: int, top: int) -> Iterator[str]:
    """Remove the files of a folder, and move its subfolders to the top. Yield their names there."""
    with os.scandir(folder) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_folder in found:
        with suppress(OSError):
            if not is_folder:
                os.unlink(name, dir_fd=folder)
                continue
            os.chmod(name, 0o700, dir_fd=folder)
            moved = f".{uuid.uuid4()}"
            os.rename(name, moved, src_dir_fd=folder, dst_dir_fd=top)
            yield moved
