"""Globs in a configuration: each becomes the expression that will be matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.finding import Finding
from retrainer.rules.glob import SPECIAL, GlobError, glob_to_regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.tree import Path


def check_match(path: Path, match: Mapping[str, str | int | float | bool]) -> Iterator[Finding]:
    """What is wrong with the globs among expected values."""
    for field, expected in match.items():
        if isinstance(expected, str) and SPECIAL.search(expected):
            yield from check_glob((*path, field), expected)


def check_glob(path: Path, glob: str) -> Iterator[Finding]:
    try:
        glob_to_regex(glob)
    except GlobError as error:
        yield Finding(path, f"not a glob: {error}", error.hint, error.at)
