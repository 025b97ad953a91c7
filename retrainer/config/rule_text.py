"""The lines of a rule in the text of its file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from retrainer.config.configuration import Configuration

_PREFIX = "rules."


class Place(NamedTuple):
    """Where a rule begins: the position of its first field. Line and column count from 1."""

    file: str
    line: int
    column: int


class RuleText(NamedTuple):
    """Lines ``first`` to ``last`` of a file, both inclusive.

    They are the whole file if the rule has no lines of its own, as in a list in brackets.
    """

    file: str
    first: int
    last: int
    text: str


def place_of(configuration: Configuration, rule: str) -> Place:
    """Return the position of a rule. Raise KeyError for an unknown one."""
    return _place(configuration.positions[_PREFIX + rule])


def texts(
    configuration: Configuration, files: Mapping[str, str], rules: Iterable[str], *, own: bool = False
) -> Iterator[tuple[str, RuleText]]:
    """Yield each rule whose file is known, with its text; with ``own`` only if the rule has lines of its own."""
    lines: dict[str, list[str]] = {}
    for rule in rules:
        place = place_of(configuration, rule)
        if place.file in files:
            of_file = lines.setdefault(place.file, files[place.file].split("\n"))
            if not own or _dash(place, of_file) is not None:
                yield rule, text_at(place, of_file)


def text_at(place: Place, lines: Sequence[str]) -> RuleText:
    """Return the text of the rule that begins at ``place``, with its comments, those directly above it too."""
    first, last = _item(place, lines)
    return RuleText(place.file, first, last, "\n".join(lines[first - 1 : last]) + "\n")


def alone(configuration: Configuration, text: str, rule: str, instead: str) -> str | None:
    """Return the text of the rule's file with other lines for the rule, and without other rules.

    Lines above keep their number. None for a rule without lines of its own.
    """
    place, lines = place_of(configuration, rule), text.split("\n")
    if _dash(place, lines) is None:
        return None
    positions = [_place(at) for name, at in configuration.positions.items() if name.startswith(_PREFIX)]
    others = [_item(other, lines) for other in positions if other.file == place.file and other != place]
    first, last = _item(place, lines)
    for begin, end in others:
        lines[begin - 1 : end] = [""] * (end - begin + 1)
    return "\n".join([*lines[: first - 1], instead.rstrip("\n"), *lines[last:]])


def _place(position: str) -> Place:
    file, line, column = position.rsplit(":", 2)
    return Place(file, int(line), int(column))


def _dash(place: Place, lines: Sequence[str]) -> Place | None:
    """Return the position of the rule's dash, before it or on a line of its own; None in a list in brackets."""
    if lines[place.line - 1][: place.column - 1].strip() == "-":
        return place._replace(column=lines[place.line - 1].index("-") + 1)
    above = place.line - 1
    while above > 1 and _is_remark(lines[above - 1]):
        above -= 1
    alone = above > 0 and lines[above - 1].strip() == "-"
    return Place(place.file, above, lines[above - 1].index("-") + 1) if alone else None


def _item(place: Place, lines: Sequence[str]) -> tuple[int, int]:
    """Return the first and last line of an item: it ends before the first line that is not indented deeper."""
    dash = _dash(place, lines)
    if dash is None:
        return 1, len(lines)
    last = end = place.line
    while end < len(lines):
        line = lines[end]
        deeper = _indent(line) >= dash.column
        if not deeper and not _is_remark(line):
            break
        end += 1
        if deeper and line.strip():
            last = end
    first = dash.line
    while first > 1 and lines[first - 2].lstrip().startswith("#") and _indent(lines[first - 2]) == dash.column - 1:
        first -= 1
    return first, last


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_remark(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")
