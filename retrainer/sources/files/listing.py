"""What lies in a folder right now, without following symlinked folders, and what could not be looked into."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.rules.match import glob_to_regex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BAD_BYTE = re.compile("[\udc80-\udcff]")
_LOOKS_ESCAPED = re.compile(r"\\(?=x[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class File:
    """``key`` is the path within the folder, ``path`` where to open it; ``mtime`` is in seconds since the epoch."""

    key: str
    path: str
    size: int
    mtime_ns: int

    @property
    def fingerprint(self) -> str:
        return f"{self.size}:{self.mtime_ns}"

    @property
    def mtime(self) -> float:
        return self.mtime_ns / 1e9

    def unchanged(self) -> bool:
        """Look again; raise OSError if it is gone or cannot be looked at."""
        seen = os.stat(self.path)  # noqa: PTH116 - names of any encoding pass through
        return (seen.st_size, seen.st_mtime_ns) == (self.size, self.mtime_ns)


@dataclass(slots=True)
class Listing:
    """``files`` by key; ``unreadable``: key prefixes that nothing is known about this time, with the reason."""

    files: dict[str, File] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Tell whether a key that is not in `files` is really gone."""
        return not any(key.startswith(prefix) for prefix in self.unreadable)


def ignorer(globs: list[str]) -> Callable[[str], bool]:
    """Return a test of keys; that of a folder ends in `/`, and is also ignored where its bare name would be."""
    if not globs:
        return lambda _: False
    pattern = re.compile("|".join(f"(?:{glob_to_regex(glob)})" for glob in globs), re.DOTALL)
    return lambda key: (
        pattern.fullmatch(key) is not None or (key.endswith("/") and pattern.fullmatch(key[:-1]) is not None)
    )


def list_folder(folder: str, ignored: Callable[[str], bool]) -> Listing:
    """List all regular files below a folder; never raises for what it finds there."""
    listing = Listing()
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            for entry in _scan(os.path.join(folder, prefix)):  # noqa: PTH118 - bytes of any encoding pass through
                _sort_in(entry, prefix, ignored, listing, folders)
        except FileNotFoundError as error:
            if not prefix:  # a folder below that vanished meanwhile is just gone
                listing.unreadable[prefix] = str(error)
        except OSError as error:
            listing.unreadable[safe(prefix)] = str(error)
    return listing


def _scan(path: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        yield from entries


def _sort_in(
    entry: os.DirEntry[str], prefix: str, ignored: Callable[[str], bool], listing: Listing, folders: list[str]
) -> None:
    name = prefix + entry.name
    if entry.is_dir(follow_symlinks=False):
        if not ignored(safe(name) + "/"):
            folders.append(name + "/")
    elif not ignored(safe(name)):
        _add(entry, safe(name), listing)


def _add(entry: os.DirEntry[str], key: str, listing: Listing) -> None:
    try:
        seen = entry.stat()
    except FileNotFoundError:  # gone since, or a symlink into nowhere
        return
    except OSError as error:
        listing.unreadable[key] = str(error)
        return
    if stat.S_ISREG(seen.st_mode):
        listing.files[key] = File(key, entry.path, seen.st_size, seen.st_mtime_ns)


def safe(name: str) -> str:
    r"""Return a name as valid Unicode: bytes that are not UTF-8 become `\\xff`; no two names become one."""
    literal = _LOOKS_ESCAPED.sub(r"\\x5c", name)
    return _BAD_BYTE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", literal)
