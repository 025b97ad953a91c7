"""Conditions of `match`: a field of an event equals a value, or matches a glob."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.glob import MAX_TEXT, SPECIAL, glob_to_regex
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.event import Event


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of `match`: the path of a field, and its expected value.

    For fields that hold text (`values.holds_text`) ``expected`` is a text. Elsewhere types must agree: a text equals a
    text, a number a number, and a boolean a boolean.
    """

    path: tuple[str, ...]
    expected: str | int | float | bool
    glob: Callable[[str], Any] | None

    def holds(self, event: Event) -> bool:
        path = self.path
        value = event.data.get(path[0], values.MISSING) if len(path) == 1 else look_up(event, path)
        if self.glob is not None:
            return isinstance(value, str) and len(value) <= MAX_TEXT and self.glob(value) is not None
        return value == self.expected and isinstance(value, bool) == isinstance(self.expected, bool)


def condition(field: str, expected: str | float | bool) -> Condition:
    """A condition on a dotted path. Raise GlobError for an invalid glob."""
    return condition_at(tuple(field.split(".")), expected)


def condition_at(path: tuple[str, ...], expected: str | float | bool) -> Condition:
    if values.holds_text(path):
        expected = str(values.text(expected))
    special = isinstance(expected, str) and SPECIAL.search(expected)
    glob = re.compile(glob_to_regex(str(expected)), re.DOTALL).fullmatch if special else None
    return Condition(path, expected, glob)


def look_up(event: Event, path: tuple[str, ...]) -> Any:
    """Value at a path: `event.type` and the like from the envelope, anything else from the data.

    Fields that hold text are returned as text, even if the sender wrote a number or a boolean.
    """
    if path[0] == "event" and len(path) > 1:
        root: Any = event.shown_attributes() if path[1] == "attributes" else getattr(event, path[1], values.MISSING)
        value = values.field(root, path[2:])
    else:
        value = values.field(event.data, path)
    if isinstance(value, str) or not values.holds_text(path):
        return value
    text = values.text(value)
    return values.MISSING if text is None else text


def conditions(match: Mapping[str, str | int | float | bool]) -> tuple[Condition, ...]:
    return tuple(condition(field, expected) for field, expected in match.items())
