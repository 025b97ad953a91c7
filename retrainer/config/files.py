"""Which files a configuration consists of, and their text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SUFFIXES = (".yaml", ".yml")
TEST_SUFFIXES = ("_test.yaml", "_test.yml")
"""Files of tests of rules stand among the rules, and are none."""


class Found(NamedTuple):
    """Paths of files, sorted within each path asked for; ``missing`` are the paths that are not there."""

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
            files.update(dict.fromkeys(_walk(path, tests=tests)))
        except NotADirectoryError:
            files[path] = None
        except OSError:
            missing.append(path)
    return Found(tuple(files), tuple(missing))


def rule_file(name: str) -> bool:
    """Tell by its name whether a file holds rules."""
    return name.endswith(_SUFFIXES) and not name.endswith(TEST_SUFFIXES)


def _walk(folder: str, *, tests: bool) -> Iterator[str]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, tests=tests)
        elif entry.name.endswith(_SUFFIXES) and entry.name.endswith(TEST_SUFFIXES) == tests and entry.is_file():
            yield entry.path


def read_text(file: str) -> str | Problem:
    """Return the text of a file, or what keeps it from being read."""
    try:
        return Path(file).read_text(encoding="utf-8-sig")
    except OSError as error:
        return Problem(
            file, 1, 1, "", f"cannot be read: {error.strerror}", "check that it is there and its permissions"
        )
    except UnicodeDecodeError as error:
        return _not_utf8(file, error)


def _not_utf8(file: str, error: UnicodeDecodeError) -> Problem:
    before = error.object[: error.start]
    line = before.count(b"\n") + 1
    column = error.start - before.rfind(b"\n")
    return Problem(
        file, line, column, "", f"not UTF-8: byte {error.object[error.start]:#04x}", "save the file as UTF-8"
    )
