"""Problems of a configuration: message, position, and hint."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_TOLD = 200
"""Maximum number of reported problems per file."""
LONGEST_LINE = 400
LONGEST_WORD = 200
MOST_COMPARED = 500
Kind = Literal["content", "reference", "environment"]
_PASSWORD = re.compile(r"(://[^/\s:@]*:(?!\d{1,5}(?:[/\s'\",\]}]|$))|[?&][a-z]*password=)[^/\s@&'\"]+(?=[@&\s'\"]|$)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. ``line`` and ``column`` count from 1; ``path`` is the field (``rules[2].submit.timeout``), if any.

    ``hint`` says how to correct it; ``source`` is the text of the line. ``kind`` separates names that no file defines
    (``reference``) and things missing on this machine, such as a secret (``environment``), from errors in the file.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    source: str = ""
    kind: Kind = "content"

    def __str__(self) -> str:
        where = f"{shown(self.file)}:{self.line}:{self.column}: "
        field = f"{self.path}: " if self.path else ""
        return f"{where}{field}{self.message}" + (f" ({self.hint})" if self.hint else "")

    def render(self) -> str:
        """Several lines: position and message, the line with a caret below, the hint."""
        field = f"{self.path}: " if self.path else ""
        parts = [f"{shown(self.file)}:{self.line}:{self.column}: {field}{self.message}"]
        if self.source.strip():
            number = f"{self.line:>5}"
            shown_line, indent = self._around()
            masked = _PASSWORD.sub(r"\1***", shown_line)  # it may be written to a log
            parts += [f"{number} | {masked}", f"{' ' * len(number)} | {indent}^"]
        if self.hint:
            parts.append(f"      = {self.hint}")
        return "\n".join(parts)

    def as_json(self) -> dict[str, str | int]:
        """All fields except the line's text, for `-o json`."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "hint": self.hint,
            "kind": self.kind,
        }

    def _around(self) -> tuple[str, str]:
        """The line, or the part of a long line around the column; and white space up to the column, tabs included."""
        begin = max(self.column - 1 - LONGEST_LINE // 2, 0) if len(self.source) > LONGEST_LINE else 0
        before = self.source[begin : self.column - 1].ljust(self.column - 1 - begin)
        return self.source[begin : begin + LONGEST_LINE], "".join(c if c == "\t" else " " for c in before)


class ConfigErrors(Exception):
    """All problems, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = ordered(problems)
        super().__init__("\n\n".join(problem.render() for problem in self.problems))


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by position. Drop duplicates (a template's line is read by many rules), and limit the number per file."""
    first: dict[tuple[str, int, int, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.file, problem.line, problem.column, problem.message), problem)
    by_place = sorted(first.values(), key=lambda p: (p.file, p.line, p.column))
    return tuple(one for _, found in groupby(by_place, key=attrgetter("file")) for one in _told(list(found)))


def _told(of_file: list[Problem]) -> list[Problem]:
    if len(of_file) <= MOST_TOLD:
        return of_file
    next_one, more = of_file[MOST_TOLD], len(of_file) - MOST_TOLD
    rest = replace(next_one, path="", message=f"{more} more errors follow", hint="correct the ones above first")
    return [*of_file[:MOST_TOLD], rest]


def did_you_mean(word: str, choices: Iterable[str], otherwise: str = "remove it") -> str:
    """Name the nearest choice; otherwise up to 12 of them, or ``otherwise`` if there are none."""
    known = sorted(choices)
    if near := nearest(word, known):
        return f"did you mean `{near}`?"
    if not known:
        return otherwise
    more = ", …" if len(known) > 12 else ""
    return "known here: " + ", ".join(known[:12]) + more


def nearest(word: str, choices: Iterable[str]) -> str:
    """Return the choice that is spelt most like ``word``, empty if none is."""
    alike = _alike(word, sorted(choices))
    near = get_close_matches(word, alike, n=1, cutoff=0.6) or get_close_matches(word.lower(), alike, n=1, cutoff=0.6)
    return near[0] if near else ""


def _alike(word: str, known: list[str]) -> list[str]:
    """The choices worth comparing: of many, only some with the same first letter; none for a very long word."""
    if len(word) > LONGEST_WORD:
        return []
    if len(known) <= MOST_COMPARED:
        return known
    return [one for one in known if one[:1] == word[:1]][:MOST_COMPARED]


def cut(text: str, longest: int = 400) -> str:
    """Shorten a text for a message."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shown(file: str) -> str:
    """A path for display: relative to the working directory if it lies within."""
    relative = os.path.relpath(file) if file else file
    return file if relative.startswith("..") else relative
