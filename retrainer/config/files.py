"""Find and read the files of a configuration."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.errors import Problem
from retrainer.util.regular_files import UnreadableFileError, read_settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = ("_test.yaml", "_test.yml")
"""Suffixes of test files for rules. They are stored beside rule files, but are not rule files."""


LARGEST_FILE = 16 * 2**20
"""Maximum bytes of a file: twenty times a file of 4,000 rules."""
DEEPEST = 32
"""Maximum depth of nested folders."""


class FoundFile(NamedTuple):
    """Paths of files, sorted within each given path; ``missing`` are the given paths that do not exist.

    A file is anything with a matching name that is no folder, even if it cannot be read: `read_text` reports that.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...]


def find(paths: Iterable[str], *, tests: bool = False) -> FoundFile:
    """Find `*.yaml` and `*.yml` in folders, recursively; with ``tests``, only files named `*_test.yaml`.

    Hidden names are skipped: a ConfigMap is mounted as links into `..data`, which must not be read a second time.
    """
    files: dict[str, None] = {}
    missing = []
    for path in paths:
        try:
            entries = _entries(path)
        except NotADirectoryError:
            files[path] = None
        except (OSError, ValueError):
            missing.append(path)
        else:
            files.update(dict.fromkeys(_walk(entries, tests=tests)))
    return FoundFile(tuple(files), tuple(missing))


def rule_file(name: str) -> bool:
    """Whether a file holds rules, by its name."""
    return name.endswith(_SUFFIXES) and not name.endswith(TEST_SUFFIXES)


def _walk(entries: list[os.DirEntry[str]], *, tests: bool, depth: int = 1) -> Iterator[str]:
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            try:
                inside = _entries(entry.path) if depth < DEEPEST else None
            except OSError:
                inside = None
            if inside is None:
                yield entry.path  # it is then reported as a file that cannot be read
            else:
                yield from _walk(inside, tests=tests, depth=depth + 1)
        elif entry.name.endswith(_SUFFIXES) and entry.name.endswith(TEST_SUFFIXES) == tests:
            yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def read_text(file: str) -> str | Problem:
    """Return the text of a file, or the problem that prevents reading it."""
    if (readable := file.encode(errors="replace").decode()) != file:
        return Problem(readable, 1, 1, "", "its name is not UTF-8", "give it another name")
    try:
        return read_settled(file, LARGEST_FILE).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnreadableFileError as error:
        way_out = "split it" if "larger" in str(error) else "put a file there that the daemon may read, or delete it"
        return Problem(file, 1, 1, "", f"cannot be read: {error}", way_out)
    except UnicodeDecodeError as error:
        return _not_utf8(file, error)


def read_all(files: Iterable[str]) -> tuple[dict[str, str], list[Problem]]:
    """Return the texts of readable files, and the problems of the others."""
    read = {file: read_text(file) for file in files}
    texts = {file: text for file, text in read.items() if isinstance(text, str)}
    return texts, [problem for problem in read.values() if isinstance(problem, Problem)]


NO_SUCH_FILE = "there is no such file or folder"


def missing(path: str) -> Problem:
    """Return the problem of a path that does not exist."""
    return Problem(path, 1, 1, "", NO_SUCH_FILE, "create it, or correct the path")


def _not_utf8(file: str, error: UnicodeDecodeError) -> Problem:
    before = error.object[: error.start]
    line = before.count(b"\n") + 1
    column = error.start - before.rfind(b"\n")
    return Problem(
        file, line, column, "", f"not UTF-8: byte {error.object[error.start]:#04x}", "save the file as UTF-8"
    )


def fingerprint(paths: Iterable[str]) -> str:
    """Return a hash over the names and contents of all configuration files under the paths (files or folders).

    ConfigMaps swap symlinks, so modification times are unreliable. Missing and unreadable files are part of the hash.
    Nothing is raised.
    """
    digest = sha256()
    for file in find(paths).files:
        digest.update(os.fsencode(file) + b"\0")
        try:
            digest.update(sha256(read_settled(file, LARGEST_FILE)).digest())
        except UnreadableFileError as error:
            digest.update(str(error).encode())
    return digest.hexdigest()
