"""What is wrong with a configuration, where, and the way out."""

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
"""Mistakes of one file."""
LONGEST_LINE = 400
LONGEST_WORD = 200
MOST_COMPARED = 500
Kind = Literal["content", "reference", "environment"]
_PASSWORD = re.compile(r"(://[^/\s:@]*:|[?&][a-z]*password=)[^/\s@&'\"]+(?=[@&\s'\"]|$)")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``line`` and ``column`` count from 1, ``path`` is the field (``rules[2].submit.timeout``), if any.

    ``hint`` is the way out, ``source`` the text of the line. ``kind`` tells a name that no file defines (``reference``)
    and what the machine lacks, such as a secret (``environment``), from what is wrong in the file itself.
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
        """Several lines: where and what, the line with a caret beneath, the hint."""
        field = f"{self.path}: " if self.path else ""
        parts = [f"{shown(self.file)}:{self.line}:{self.column}: {field}{self.message}"]
        if self.source.strip():
            number = f"{self.line:>5}"
            shown_line, indent = self._around()
            parts += [f"{number} | {_masked(shown_line)}", f"{' ' * len(number)} | {indent}^"]
        if self.hint:
            parts.append(f"      = {self.hint}")
        return "\n".join(parts)

    def as_json(self) -> dict[str, str | int]:
        """All but the line's text, for `-o json`."""
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
        """The line, or what of a long one stands around the column; and white space up to there, tabs included."""
        begin = max(self.column - 1 - LONGEST_LINE // 2, 0) if len(self.source) > LONGEST_LINE else 0
        before = self.source[begin : self.column - 1].ljust(self.column - 1 - begin)
        return self.source[begin : begin + LONGEST_LINE], "".join(c if c == "\t" else " " for c in before)


def _masked(line: str) -> str:
    """A line as it may be shown: whoever put a password into a URL must not find it in a log too."""
    return _PASSWORD.sub(r"\1***", line)


class ConfigErrors(Exception):
    """Everything that is wrong, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = ordered(problems)
        super().__init__("\n\n".join(problem.render() for problem in self.problems))


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By place; what a template's line says once for each rule that uses it is said once, and of a file so many."""
    first: dict[tuple[str, int, int, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.file, problem.line, problem.column, problem.message), problem)
    by_place = sorted(first.values(), key=lambda p: (p.file, p.line, p.column))
    return tuple(one for _, found in groupby(by_place, key=attrgetter("file")) for one in _told(list(found)))


def _told(of_file: list[Problem]) -> list[Problem]:
    if len(of_file) <= MOST_TOLD:
        return of_file
    next_one, more = of_file[MOST_TOLD], len(of_file) - MOST_TOLD
    rest = replace(
        next_one, path="", message=f"{more} more mistakes from here on", hint="correct those before it first"
    )
    return [*of_file[:MOST_TOLD], rest]


def did_you_mean(word: str, choices: Iterable[str], otherwise: str = "take it out") -> str:
    """Name the nearest choice, else all of them if they are few, ``otherwise`` if there are none."""
    known = sorted(choices)
    alike = _alike(word, known)
    near = get_close_matches(word, alike, n=1, cutoff=0.6) or get_close_matches(word.lower(), alike, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not known:
        return otherwise
    more = ", …" if len(known) > 12 else ""
    return "known here: " + ", ".join(known[:12]) + more


def _alike(word: str, known: list[str]) -> list[str]:
    """Those worth comparing: of thousands only some that begin the same, and nothing with a text of any length."""
    if len(word) > LONGEST_WORD:
        return []
    if len(known) <= MOST_COMPARED:
        return known
    return [one for one in known if one[:1] == word[:1]][:MOST_COMPARED]


def cut(text: str, longest: int = 400) -> str:
    """A text as it may stand in a message."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def shown(file: str) -> str:
    """A path as people read it: seen from the working directory if it lies within."""
    relative = os.path.relpath(file) if file else file
    return file if relative.startswith("..") else relative
