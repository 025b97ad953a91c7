"""Apply the correction that a problem names to the place that it names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.config.errors import Problem

_KEY = re.compile(r"\"?[\w-]+\"?\s*:\s*")
_NAME = re.compile(r"\w+")
_WORD = re.compile(r"[\w./-]+|[=<>]+|\W")
_NEAR = re.compile(r"(?:.*: )?did you mean `?([\w./-]+)`?.*")
_OFFERED = re.compile(r"(?:(?:write|equality is written|inequality is written) (?:such as |at most |at least )?)(.+)")
_MORE = re.compile(r"(?<=[`\"}\w]) or |, or |: use |; | \(or | for | \(")
_OPEN, _CLOSE = "{[", "}]"
_EMPTY_PLACE = re.compile(r", *(?=[}\]])|(?<=[{\[]), *")


def mended(text: str, problem: Problem) -> str | None:
    """The text after the first correction of the hint; None if the hint has none that is put in as it is."""
    lines = text.split("\n")
    line, column = lines[problem.line - 1], problem.column - 1
    put = _corrected(line[column:], problem)
    if put is None or "…" in put:
        return None
    whole = line[:column] + put
    lines[problem.line - 1] = _EMPTY_PLACE.sub("", whole) if problem.hint.startswith("remove") else whole
    return "\n".join(lines)


def _corrected(rest: str, problem: Problem) -> str | None:
    """What stands at the place and behind it on its line, after the correction."""
    key = _KEY.match(rest)
    behind = rest[_length(rest) :]
    behind_entry = rest[key.end() + _length(rest[key.end() :]) :] if key else ""
    if near := _NEAR.fullmatch(problem.hint):
        word = _NAME if _NAME.fullmatch(near[1]) else _WORD
        return word.sub(lambda _: near[1], rest, count=1)
    if quoted := re.fullmatch(r"quote it: (\".*\")", problem.hint):
        return quoted[1] + behind
    if key and re.match(r"remove (it|`[\w.-]+: [^`]*`)", problem.hint):
        return behind_entry.removeprefix(",").lstrip()
    found = _OFFERED.match(problem.hint)
    if found is None:
        return None
    text = found[1][1:].partition("`")[0] if found[1][0] == "`" else _MORE.split(found[1], maxsplit=1)[0].rstrip(",")
    if key and _KEY.match(text):
        return text + behind_entry
    if re.search("CEL|name `|function", problem.message):
        return _WORD.sub(lambda _: text, rest, count=1)
    return text + behind


def _length(rest: str) -> int:
    """The length of the value at the beginning: quoted, in brackets, or plain up to a comma, a bracket or the end."""
    if rest[:1] in ("'", '"'):
        return rest.index(rest[0], 1) + 1
    depth = 0
    for at, character in enumerate(rest):
        depth += (character in _OPEN) - (character in _CLOSE)
        if depth < 0 or (not depth and character == ","):
            return at
        if not depth and character in _CLOSE:
            return at + 1
    return len(rest)
