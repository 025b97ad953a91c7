"""Find the tests of a rule in the test files beside the rule files, without running them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.files import find, read_text
from retrainer.config.yaml import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from retrainer.config.tree import Node

MOST_FILES = 100
LARGEST = 256 * 1024
"""Bytes of a test file that is searched."""
_NAMES_RULE = ("rule", "pause", "resume")


class FoundCase(NamedTuple):
    """A test, and the line where it begins."""

    file: str
    line: int
    name: str
    rules: frozenset[str]


def tests_of(paths: Iterable[str], rule: str) -> list[FoundCase]:
    """Return the tests that name a rule, in the folders of rule files. Files that cannot be read have none."""
    files = find((path for path in paths if Path(path).is_dir()), tests=True).files
    return [case for file in files[:MOST_FILES] for case in _cases(file) if rule in case.rules]


def _cases(file: str) -> tuple[FoundCase, ...]:
    try:
        status = Path(file).stat()
    except OSError:
        return ()
    return _read(file, status.st_mtime_ns, status.st_size) if status.st_size <= LARGEST else ()


@lru_cache(maxsize=MOST_FILES)
def _read(file: str, _changed: int, _size: int) -> tuple[FoundCase, ...]:
    text = read_text(file)
    root = read(text, file)[0] if isinstance(text, str) else None
    tests = root.get("tests") if root is not None else None
    return tuple(
        FoundCase(file, node.mark.line, str(name.value), frozenset(_rules(node)))
        for node in (tests.elements() if tests is not None else ())
        if (name := node.get("name")) is not None
    )


def _rules(node: Node) -> Iterator[str]:
    for step, child in node.children():
        if step in _NAMES_RULE and isinstance(child.value, str):
            yield child.value
        yield from _rules(child)
