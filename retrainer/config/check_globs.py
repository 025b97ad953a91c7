"""Check `match` in a configuration: its fields are fields of an event, and its globs compile."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.violation import Violation
from retrainer.rules.environment import EVENT_FIELDS
from retrainer.rules.glob import SPECIAL, GlobError, glob_to_regex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.tree import Path


def check_match(path: Path, match: Mapping[str, str | int | float | bool]) -> Iterator[Violation]:
    """Check the globs among the expected values."""
    for field, expected in match.items():
        if isinstance(expected, str) and SPECIAL.search(expected):
            yield from check_glob((*path, field), expected)


def check_glob(path: Path, glob: str) -> Iterator[Violation]:
    try:
        glob_to_regex(glob)
    except GlobError as error:
        yield Violation(path, f"not a glob: {error}", error.hint, error.at)


def check_fields(path: Path, match: Mapping[str, object]) -> Iterator[Violation]:
    """Report fields that an event does not have."""
    for field in match:
        parts = field.split(".")
        if "" in parts or field == "event":
            hint = "write `size`, `object.key` or `event.type`"
            yield Violation((*path, field), f"`{field}` is not a field", hint, of_key=True)
        elif parts[0] == "event" and parts[1] not in EVENT_FIELDS:
            hint = did_you_mean(parts[1], EVENT_FIELDS)
            yield Violation((*path, field), f"an event has no `{parts[1]}`", hint, of_key=True)
