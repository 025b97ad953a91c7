"""Which files a configuration consists of, and their text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.errors import Problem
from retrainer.util.regular_files import UnreadableFileError, read_settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = ("_test.yaml", "_test.yml")
"""Files of tests of rules stand among the rules, and are none."""


LARGEST_FILE = 16 * 2**20
"""Bytes: twenty times a file of 4,000 rules."""
DEEPEST = 32
"""Folders within folders that are looked into."""


class Found(NamedTuple):
    """Paths of files, sorted within each path asked for; ``missing`` are the paths that are not there.

    A file is whatever bears such a name and is no folder, also what cannot be read: `read_text` says so.
    """

    files: tuple[str, ...]
    missing: tuple[str, ...]


def find(paths: Iterable[str], *, tests: bool = False) -> Found:
    """Look into folders, and into theirs, for `*.yaml` and `*.yml`; with ``tests`` for those named `*_test.yaml` alone.

    Hidden names are passed over: a ConfigMap is mounted as links into `..data`, which must not be read a second time.
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
    return Found(tuple(files), tuple(missing))


def rule_file(name: str) -> bool:
    """Tell by its name whether a file holds rules."""
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
                yield entry.path  # which is told as a file that cannot be read
            else:
                yield from _walk(inside, tests=tests, depth=depth + 1)
        elif entry.name.endswith(_SUFFIXES) and entry.name.endswith(TEST_SUFFIXES) == tests:
            yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def read_text(file: str) -> str | Problem:
    """Return the text of a file, or what keeps it from being read."""
    if (readable := file.encode(errors="replace").decode()) != file:
        return Problem(readable, 1, 1, "", "its name is not UTF-8", "give it another name")
    try:
        return read_settled(file, LARGEST_FILE).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnreadableFileError as error:
        way_out = "split it" if "larger" in str(error) else "put a file there that the daemon may read, or take it away"
        return Problem(file, 1, 1, "", f"cannot be read: {error}", way_out)
    except UnicodeDecodeError as error:
        return _not_utf8(file, error)


def _not_utf8(file: str, error: UnicodeDecodeError) -> Problem:
    before = error.object[: error.start]
    line = before.count(b"\n") + 1
    column = error.start - before.rfind(b"\n")
    return Problem(
        file, line, column, "", f"not UTF-8: byte {error.object[error.start]:#04x}", "save the file as UTF-8"
    )
