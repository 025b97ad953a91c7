"""The rules of a file as blocks of lines, found without reading the whole file, which may have thousands of rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_SECTION = re.compile(r"rules:[ \t]*(#.*)?[\r\n]*$")
_DASH = re.compile(r"( *)-( +)(?=[^\s#])")
_NAME = re.compile(r"""name:[ \t]+(["']?)([^"'\s#]+)\1[ \t]*(#.*)?[\r\n]*$""")


class RuleItem(NamedTuple):
    """Lines ``start`` to ``end`` (not included) of a file are the rule ``name``, whose fields begin at ``column``."""

    name: str
    start: int
    end: int
    column: int


def items(lines: list[str]) -> list[RuleItem]:
    """Return the items of the list under `rules`; none if it is not written with an item per line."""
    section = next((i for i, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    return [item for item in _blocks(lines, section + 1) if item.name]


def _blocks(lines: list[str], first: int) -> Iterator[RuleItem]:
    """Yield the blocks from line ``first`` on, until a line that is indented less."""
    start, end, dash, column = -1, first, -1, 0
    for i in range(first, len(lines)):
        text = lines[i].strip()
        if not text or text.startswith("#"):
            continue
        indent = len(lines[i]) - len(lines[i].lstrip(" "))
        found = _DASH.match(lines[i])
        if found is not None and indent == (indent if dash < 0 else dash):
            if start >= 0:
                yield _item(lines, start, end, column)
            start, dash, column = i, indent, found.end()
        elif indent <= dash or dash < 0:
            break
        end = i + 1
    if start >= 0:
        yield _item(lines, start, end, column)


def _item(lines: list[str], start: int, end: int, column: int) -> RuleItem:
    fields = (line[column:] for line in lines[start:end] if line[column : column + 5] == "name:")
    named = next((found for field in fields if (found := _NAME.match(field))), None)
    return RuleItem(named[2] if named else "", start, end, column)


def without_others(text: str, wanted: Collection[str]) -> str:
    """Return the text of a file without rules that are not ``wanted``. Comments between rules stay."""
    lines = text.splitlines(keepends=True)
    found = items(lines)
    dropped = [item for item in found if item.name not in wanted]
    for item in dropped:
        lines[item.start : item.end] = [""] * (item.end - item.start)
    if dropped and len(dropped) == len(found):
        at = next(i for i, line in enumerate(lines) if _SECTION.match(line))
        lines[at] = "rules: []\n"
    return "".join(lines)


def body(lines: list[str], item: RuleItem) -> str:
    """Return the text of a rule as a document of its own: its fields begin in the first column."""
    first, *rest = lines[item.start : item.end]
    return "".join([first[item.column :], *(line[item.column :] if line.strip() else line for line in rest)])


def as_item(text: str, column: int) -> list[str]:
    """Return the lines of a rule, of which ``text`` is the body, as an item of a list."""
    lines = (text if text.endswith("\n") else f"{text}\n").splitlines(keepends=True)
    indented = [" " * column + line if line.strip() else line for line in lines]
    return [f"{' ' * (column - 2)}- {lines[0]}", *indented[1:]]
