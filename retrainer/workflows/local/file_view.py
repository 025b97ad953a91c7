"""Gives a process the file system that a step sees: this machine's, with the step's own folders in their places.

Linux only. It needs CAP_SYS_ADMIN, which a process also has in a user namespace of its own.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NEWNS = 0x20000  # linux/sched.h
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18  # linux/mount.h
_DETACH = 2


@dataclass(frozen=True, slots=True)
class FileView:
    """``root``: an own folder that becomes `/`. ``folders``: path of the step to folder of this machine.

    ``files``: further paths that are the step's own; what this machine has there is not seen. ``opened``:
    folders of this machine whose content is seen in an own folder. ``workdir``: the working directory.
    """

    root: Path
    folders: Mapping[str, Path]
    files: frozenset[str]
    opened: frozenset[str]
    workdir: str


def available() -> bool:
    """Return whether this process may give its children such a view. Tried in a child."""
    if sys.platform != "linux":
        return False
    with suppress(OSError), tempfile.TemporaryDirectory() as root:
        child = os.fork()
        if child == 0:
            done = False
            with suppress(BaseException):
                enter(FileView(Path(root), {}, frozenset(), frozenset(), "/"))
                done = True
            os._exit(0 if done else 1)
        return os.waitpid(child, 0)[1] == 0
    return False


def enter(view: FileView) -> None:
    """Give the calling process, which must have one thread, this view. Raise OSError."""
    _call("unshare", _NEWNS)
    _mount("none", "/", _REC | _PRIVATE)
    root = os.path.realpath(view.root)
    _mount(root, root, _BIND)
    own = {*view.folders, *view.files}
    above = {str(parent) for path in ("/x", *own, *view.opened) for parent in PurePosixPath(path).parents}
    parents = sorted(above | view.opened, key=len)
    for folder in parents:
        if os.path.isdir(folder):  # noqa: PTH112 - a text like the others here
            _open_up(root, folder, own.union(parents))
    for path in sorted(view.folders, key=len):
        _show(str(view.folders[path]), root + path)
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", _DETACH)
    os.chdir(view.workdir)


def _open_up(root: str, folder: str, left_out: Iterable[str]) -> None:
    """Make an own folder with all that this machine has in `folder`, except `left_out`."""
    Path(root + folder).mkdir(exist_ok=True)
    with suppress(PermissionError):  # nothing of it could be reached then
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.path not in left_out and entry.path != root:
                with suppress(OSError):  # one dead mount does not hide the others
                    _show(entry.path, root + entry.path)


def _show(source: str, target: str) -> None:
    """Let the target be the source."""
    if os.path.islink(source):  # noqa: PTH114 - a text
        with suppress(FileExistsError):
            os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211 - texts
        return
    place = Path(target)
    if os.path.isdir(source):  # noqa: PTH112 - a text
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    _mount(source, target, _BIND | _REC)


def _mount(source: str, target: str, flags: int) -> None:
    _call("mount", os.fsencode(source), os.fsencode(target), None, flags, None, name=target)


def _call(function: str, *arguments: object, name: str = "") -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    given = (ctypes.c_ulong(one) if isinstance(one, int) and function == "mount" else one for one in arguments)
    if getattr(libc, function)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}", name or None)
