"""Lists a folder without leaving it through links, and reports what could not be read."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from retrainer.rules.glob import glob_to_regex
from retrainer.util.regular_files import kind, open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

MOST_FILES = 1_000_000
"""Files of a folder; those beyond are not listed, and the source reports it."""
MOST_CHANGED = 100_000
"""Changed files that one listing returns."""
MOST_ODD = 1000
"""Entries for which one listing gives a reason."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_SHOWN = 200
_BAD_BYTE = re.compile("[\udc80-\udcff]")
_LOOKS_ESCAPED = re.compile(r"\\(?=x[0-9a-f]{2})")


@dataclass(frozen=True, slots=True)
class File:
    """``key``: the path within the folder; ``name``: that path as the system has it; ``link``: a link's target.

    ``mtime_ns``: nanoseconds since the epoch. ``identity``: device and inode.
    """

    key: str
    name: str
    link: str | None
    size: int
    mtime_ns: int
    identity: tuple[int, int]

    @property
    def fingerprint(self) -> str:
        return f"{self.size}:{self.mtime_ns}"

    @property
    def mtime(self) -> float:
        """Seconds since the epoch."""
        return self.mtime_ns / 1e9

    def path(self, folder: str) -> str:
        return os.path.join(folder, self.name)  # noqa: PTH118 - bytes of any encoding pass through

    def open(self, folder: str) -> BinaryIO:
        """Open the file without blocking. Raise FileNotFoundError if it was replaced or changed, or OSError."""
        file = open_regular(self.link or self.path(folder))
        if not self.is_in(file):
            file.close()
            raise FileNotFoundError(self.name)
        return file

    def is_in(self, file: BinaryIO) -> bool:
        """Return whether an open file is the listed one, unchanged."""
        seen = os.fstat(file.fileno())
        return (seen.st_size, seen.st_mtime_ns, (seen.st_dev, seen.st_ino)) == (self.size, self.mtime_ns, self.identity)


@dataclass(slots=True)
class DirectoryListing:
    """``changed``: files whose fingerprint is not the known one, by key; ``missing``: known keys without a file.

    ``unreadable``: keys, and folders ending in `/`, whose state is unknown this time, with the reason. ``odd``: entries
    that are neither file nor folder, and links that are not followed, with the reason. Each of them is bounded: of
    changed files the oldest are kept, and the others come with a later listing.
    """

    changed: dict[str, File] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    unreadable: dict[str, str] = field(default_factory=dict)
    odd: dict[str, str] = field(default_factory=dict)

    def knows(self, key: str) -> bool:
        """Return whether a missing key is really gone."""
        if not self.unreadable:
            return True
        if key in self.unreadable or "" in self.unreadable:
            return False
        ends = (index + 1 for index, char in enumerate(key) if char == "/")
        return not any(key[:end] in self.unreadable for end in ends)

    def failed(self, key: str, why: str) -> None:
        if len(self.unreadable) >= MOST_ODD:
            key, why = "", f"more than {MOST_ODD:,} files and folders cannot be read"
        self.unreadable[key] = why

    def passed_over(self, key: str, why: str) -> None:
        if len(self.odd) < MOST_ODD:
            self.odd[key] = why

    def keep_oldest(self, most: int) -> None:
        """Keep the `most` oldest changed files."""
        kept = sorted(self.changed.values(), key=lambda file: (file.mtime_ns, file.key))[:most]
        self.changed = {file.key: file for file in kept}


@dataclass(frozen=True, slots=True)
class Scope:
    """What to list of a folder. ``anywhere``: follow links to files also if they leave the folder.

    ``stopped``: once it returns true, the listing ends and nothing is known of the rest.
    """

    folder: str
    ignored: Callable[[str], bool]
    anywhere: bool = False
    stopped: Callable[[], bool] = lambda: False


def ignorer(globs: list[str]) -> Callable[[str], bool]:
    """Return a predicate over keys. A folder's key ends in `/`; it is also ignored if its bare name would be."""
    if not globs:
        return lambda _: False
    pattern = re.compile("|".join(f"(?:{glob_to_regex(glob)})" for glob in globs), re.DOTALL)
    return lambda key: (
        pattern.fullmatch(key) is not None or (key.endswith("/") and pattern.fullmatch(key[:-1]) is not None)
    )


def list_folder(scope: Scope, known: Mapping[str, str]) -> DirectoryListing:
    """List all regular files below a folder. Never raises for what it finds there, and never blocks on it.

    ``known``: fingerprints by key. Of unchanged files only the key is kept.
    """
    return _Walk(scope, known).run()


class _Walk:
    def __init__(self, scope: Scope, known: Mapping[str, str]) -> None:
        self._scope = scope
        self._known = known
        self._root = os.path.realpath(scope.folder)
        self._listing = DirectoryListing(missing=set(known))
        self._seen = 0
        self._folders: list[tuple[str, tuple[int, int] | None]] = [("", None)]
        """Folders still to scan, with device and inode. The source's own folder may be a link."""

    def run(self) -> DirectoryListing:
        while self._folders:
            prefix, identity = self._folders.pop()
            try:
                for entry in self._scan(prefix, identity):
                    if self._is_over():
                        return self._listing
                    self._sort_in(entry, prefix)
            except FileNotFoundError as error:
                if not prefix:  # a subfolder that vanished meanwhile is just gone
                    self._failed(prefix, error)
            except OSError as error:
                self._failed(safe(prefix), error)
        self._listing.keep_oldest(MOST_CHANGED)
        return self._listing

    def _is_over(self) -> bool:
        if self._seen >= MOST_FILES:
            why = f"more than {MOST_FILES:,} files: the others are ignored, split the folder"
            self._listing.unreadable[""] = why
        elif self._scope.stopped():
            self._listing.unreadable[""] = "stopped"
        else:
            return False
        self._listing.keep_oldest(MOST_CHANGED)
        return True

    def _failed(self, key: str, error: OSError) -> None:
        self._listing.failed(key, f"{shown(key or safe(self._scope.folder))}: {error.strerror or error}")

    def _scan(self, prefix: str, identity: tuple[int, int] | None) -> Iterator[os.DirEntry[str]]:
        path = os.path.join(self._scope.folder, prefix)  # noqa: PTH118 - bytes of any encoding pass through
        # A folder that was replaced by a link since it was listed would lead elsewhere.
        descriptor = os.open(path, _FOLDER if identity is not None else _FOLDER & ~os.O_NOFOLLOW)
        try:
            seen = os.fstat(descriptor)
            if identity is not None and (seen.st_dev, seen.st_ino) != identity:
                raise OSError(0, "was replaced while it was read")
            with os.scandir(descriptor) as entries:
                yield from entries
        finally:
            os.close(descriptor)

    def _sort_in(self, entry: os.DirEntry[str], prefix: str) -> None:
        name = prefix + entry.name
        key = safe(name)
        try:
            if not entry.is_dir(follow_symlinks=False):
                if not self._scope.ignored(key):
                    self._add(entry, name, key)
            elif not self._scope.ignored(key + "/"):
                seen = entry.stat(follow_symlinks=False)
                self._folders.append((name + "/", (seen.st_dev, seen.st_ino)))
        except FileNotFoundError:  # deleted meanwhile
            return
        except OSError as error:
            self._failed(key, error)

    def _add(self, entry: os.DirEntry[str], name: str, key: str) -> None:
        self._seen += 1
        seen = entry.stat(follow_symlinks=False)
        link = None
        if stat.S_ISLNK(seen.st_mode):
            link = os.path.realpath(os.path.join(self._scope.folder, name))  # noqa: PTH118
            if why := self._not_followed(link):
                self._listing.passed_over(key, why)
                return
            seen = os.lstat(link)
        if stat.S_ISREG(seen.st_mode):
            self._found(File(key, name, link, seen.st_size, seen.st_mtime_ns, (seen.st_dev, seen.st_ino)))
        elif not stat.S_ISDIR(seen.st_mode):
            self._listing.passed_over(key, kind(seen.st_mode))

    def _not_followed(self, link: str) -> str:
        """Return why a link with this target is not followed; empty if it is."""
        if not self._scope.anywhere and os.path.commonpath((self._root, link)) != self._root:
            return "a link that leaves the folder"
        if os.path.islink(link):  # noqa: PTH114
            return "a link that leads to itself"
        return "" if os.path.lexists(link) else "a link to a missing file"

    def _found(self, file: File) -> None:
        self._listing.missing.discard(file.key)
        if self._known.get(file.key) != file.fingerprint:
            self._listing.changed[file.key] = file
            if len(self._listing.changed) >= 2 * MOST_CHANGED:
                self._listing.keep_oldest(MOST_CHANGED)


def shown(key: str) -> str:
    """Shorten a key for a message."""
    return key if len(key) <= _SHOWN else f"{key[: _SHOWN // 2]}…{key[-_SHOWN // 2 :]}"


def safe(name: str) -> str:
    r"""Return a name as valid Unicode: bytes that are not UTF-8 become `\\xff`. Distinct names stay distinct."""
    literal = _LOOKS_ESCAPED.sub(r"\\x5c", name)
    return _BAD_BYTE.sub(lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", literal)
