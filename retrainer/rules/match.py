"""Which triggers an event concerns: an index over the `match` parts of all data triggers.

The cost of an event grows with the triggers whose indexed equality it meets, not with the number of rules.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from retrainer.event import Event
    from retrainer.rules.compile import CompiledData

_GLOB = re.compile(r"[*?\[]")
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
        re.compile(glob_to_regex(expected)).fullmatch if isinstance(expected, str) and _GLOB.search(expected) else None
    )
    return Condition(tuple(field.split(".")), expected, glob)


def look_up(event: Event, path: tuple[str, ...]) -> Any:
    """Value at a path: `event.type` and the like in the envelope, anything else in the data."""
    if path[0] == "event" and len(path) > 1:
        value: Any = getattr(event, path[1], _MISSING) if path[1] != "data" else event.data
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


_Found = tuple["CompiledData", tuple[Condition, ...]]


class Index:
    """Data triggers by source, then by their first equality; those without one are asked for every event.

    A value is looked up together with whether it is a boolean, as Python takes `true` and 1 for the same key. With each
    trigger stand the conditions that are still to be asked.
    """

    def __init__(self, triggers: Iterable[CompiledData]) -> None:
        self._equal: dict[str, dict[tuple[str, ...], dict[tuple[bool, Any], list[_Found]]]] = defaultdict(dict)
        self._rest: dict[str, list[CompiledData]] = defaultdict(list)
        for trigger in triggers:
            first = next((c for c in trigger.conditions if c.glob is None), None)
            if first is None:
                self._rest[trigger.source].append(trigger)
            else:
                by_value = self._equal[trigger.source].setdefault(first.path, {})
                others = tuple(c for c in trigger.conditions if c is not first)
                by_value.setdefault((isinstance(first.expected, bool), first.expected), []).append((trigger, others))
        self.sources: frozenset[str] = frozenset(self._equal) | frozenset(self._rest)

    def candidates(self, event: Event) -> Iterator[CompiledData]:
        """Triggers whose `match` the event meets; `where` is still to be asked."""
        for path, by_value in self._equal.get(event.source, {}).items():
            value = look_up(event, path)
            if isinstance(value, (str, int, float)):
                for trigger, others in by_value.get((value is True or value is False, value), ()):
                    if not others or all(c.holds(event) for c in others):
                        yield trigger
        for trigger in self._rest.get(event.source, ()):
            if all(c.holds(event) for c in trigger.conditions):
                yield trigger


def conditions(match: Mapping[str, str | int | float | bool]) -> tuple[Condition, ...]:
    return tuple(condition(field, expected) for field, expected in match.items())
