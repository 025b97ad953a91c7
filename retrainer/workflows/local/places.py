"""Which paths of a step are its own, and where these are on this machine."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOPS = 40
LONGEST = 200
"""Characters of a path in a message."""
_MACHINE = ("/proc", "/sys", "/dev")


@dataclass(frozen=True)
class Places:
    """``folders``: the step's `/tmp` and volumes, each with its folder here. ``files``: paths of artifacts and outputs.

    ``root``: the folder here for all other paths of the step's own. ``mounted``: those that the step sees where its
    template says; of the others the texts of the template are changed instead.
    """

    root: Path
    folders: Mapping[str, Path]
    files: frozenset[str]
    mounted: frozenset[str]

    def on_disk(self, path: str) -> Path:
        """Return where a path of the step is here. It may contain `..`, which is not resolved."""
        folder = next((one for one in self._longest_first if one in self.folders and within(path, one)), None)
        if folder is None:
            return self.root / path.lstrip("/")
        return self.folders[folder] / path[len(folder) :].lstrip("/")

    def is_mounted(self, path: str) -> bool:
        """Return whether the step sees one of its paths where its template says."""
        return next((one in self.mounted for one in self._longest_first if within(path, one)), bool(self.mounted))

    def as_seen(self, path: str) -> str:
        """Return the path by which the step reaches one of its paths."""
        return path if self.is_mounted(path) else str(self.on_disk(path))

    def text(self, text: str) -> str:
        """Return a text of the template with its own paths as the step reaches them."""
        return self._own.sub(lambda found: self.as_seen(found[0]), text)

    @cached_property
    def _longest_first(self) -> list[str]:
        return sorted({*self.folders, *self.files}, key=len, reverse=True)

    @cached_property
    def _own(self) -> re.Pattern[str]:
        # At the beginning of a path, whole: `/tmp` is neither in `/var/tmp` nor in `/tmpfile`.
        return re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, self._longest_first))})(?![\w.-])")


def within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def path_flaw(path: str) -> str:
    """Return why a step cannot have a path of its own; empty if it can."""
    if not path.startswith("/") or not path.strip("/"):
        return "must be an absolute path such as /tmp/out, and not / itself"
    if ".." in PurePosixPath(path).parts:
        return "must not contain `..`"
    if any(within(path, folder) for folder in _MACHINE):
        return f"must not be below {', '.join(_MACHINE)}, which are this machine's"
    return ""


def clean(path: str) -> str:
    """Return a path of a step without needless parts. Raise ValueError if it cannot be one."""
    short = f"/{path.strip('/')}" if path.startswith("/") else path
    if why := path_flaw(short):
        raise ValueError(f"the path {path[:LONGEST]!r} {why}")
    return str(PurePosixPath(short))


def followed(places: Places, path: str) -> str:
    """Return a path of the step without links, each followed as the step sees it. One that leads to itself stays."""
    ahead, at = _parts(path), "/"
    for _ in range(_HOPS):
        while ahead:
            there = os.path.normpath(f"{at.rstrip('/')}/{ahead.pop()}")
            if (target := _link(places.on_disk(there))) is not None:
                break
            at = there
        else:
            return at
        at = "/" if target.startswith("/") else at
        ahead += _parts(target)
    return path


def _link(path: Path) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115 - a text, as it leads to a path of the step
    except OSError:
        return None


def _parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
