"""What `match` asks of an event: that a field equals a value, or matches a glob."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.event import Event

GLOB = re.compile(r"[*?\[]")
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of `match`: where to look, and what must stand there."""

    path: tuple[str, ...]
    expected: str | int | float | bool
    glob: Callable[[str], Any] | None

    def holds(self, event: Event) -> bool:
        value = look_up(event, self.path)
        if self.glob is not None:
            return isinstance(value, str) and self.glob(value) is not None
        return value == self.expected and isinstance(value, bool) == isinstance(self.expected, bool)


def condition(field: str, expected: str | float | bool) -> Condition:
    glob = (
        re.compile(glob_to_regex(expected)).fullmatch if isinstance(expected, str) and GLOB.search(expected) else None
    )
    return Condition(tuple(field.split(".")), expected, glob)


def look_up(event: Event, path: tuple[str, ...]) -> Any:
    """Value at a path: `event.type` and the like in the envelope, anything else in the data."""
    if path[0] == "event" and len(path) > 1:
        value: Any = event.shown_attributes() if path[1] == "attributes" else getattr(event, path[1], _MISSING)
        path = path[2:]
    else:
        value = event.data
    for part in path:
        if not isinstance(value, dict) or part not in value:
            return _MISSING
        value = value[part]
    return value


def glob_to_regex(glob: str) -> str:
    """`*` and `?` stay within a path part, `**/` spans any number of them, `[…]` is one character of a set."""
    out, i = [], 0
    while i < len(glob):
        if glob.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
        elif glob.startswith("**", i):
            out.append(".*")
            i += 2
        elif glob[i] == "[" and "]" in glob[i + 2 :]:
            end = glob.index("]", i + 2)
            inside = glob[i + 1 : end].replace("\\", "\\\\")
            out.append(f"[^{inside[1:]}]" if inside[0] == "!" else f"[{inside}]")
            i = end + 1
        else:
            out.append({"*": "[^/]*", "?": "[^/]"}.get(glob[i]) or re.escape(glob[i]))
            i += 1
    return "".join(out)


def conditions(match: Mapping[str, str | int | float | bool]) -> tuple[Condition, ...]:
    return tuple(condition(field, expected) for field, expected in match.items())
