"""Write a new file that appears only when it is complete and durable, and replaces no other."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from retrainer.util.regular_files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yield an empty file beside ``target``, readable by this user only; at the end, give it the name ``target``.

    After an exception, it is removed. Raise OSError, with a ``strerror`` for the user, if ``target`` exists or cannot
    be created.
    """
    _check(target)
    with draft_of(target) as draft:
        yield draft
        sync(draft)
        _publish(draft, target)


@contextmanager
def draft_of(target: Path) -> Iterator[Path]:
    """Yield an empty file beside ``target``, whose name begins with a dot and ends with `.part`; remove it at the end.

    The caller may rename it. Raise OSError if it cannot be created.
    """
    descriptor, name = mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(descriptor)
    draft = Path(name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _check(target: Path) -> None:
    if os.path.lexists(target):
        raise _there_already()
    if not target.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {target.parent}; create it, or name another")


def _publish(draft: Path, target: Path) -> None:
    """Give the file its name, durably. A link, unlike a rename, never replaces a file."""
    try:
        os.link(draft, target)
    except FileExistsError:
        raise _there_already() from None
    except OSError:  # e.g. a volume without hard links
        _check(target)
        draft.rename(target)
    sync(target.parent)


def _there_already() -> OSError:
    return FileExistsError(errno.EEXIST, "exists already, and is not overwritten; name a new file")
