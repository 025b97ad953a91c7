"""What is wrong with a configuration, where, and the way out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

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
            parts += [f"{number} | {_masked(self.source)}", f"{' ' * len(number)} | {self._indent()}^"]
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

    def _indent(self) -> str:
        """White space as wide as what stands before the column, tabs included."""
        return "".join(c if c == "\t" else " " for c in self.source[: self.column - 1].ljust(self.column - 1))


def _masked(line: str) -> str:
    """A line as it may be shown: whoever put a password into a URL must not find it in a log too."""
    return _PASSWORD.sub(r"\1***", line)


class ConfigErrors(Exception):
    """Everything that is wrong, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = ordered(problems)
        super().__init__("\n\n".join(problem.render() for problem in self.problems))


def ordered(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By place; what a template's line says once for each rule that uses it is said once."""
    first: dict[tuple[str, int, int, str], Problem] = {}
    for problem in problems:
        first.setdefault((problem.file, problem.line, problem.column, problem.message), problem)
    return tuple(sorted(first.values(), key=lambda p: (p.file, p.line, p.column)))


def did_you_mean(word: str, choices: Iterable[str], otherwise: str = "take it out") -> str:
    """Name the nearest choice, else all of them if they are few, ``otherwise`` if there are none."""
    known = sorted(choices)
    near = get_close_matches(word, known, n=1, cutoff=0.6) or get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    if not known:
        return otherwise
    more = ", …" if len(known) > 12 else ""
    return "known here: " + ", ".join(known[:12]) + more


def shown(file: str) -> str:
    """A path as people read it: seen from the working directory if it lies within."""
    relative = os.path.relpath(file) if file else file
    return file if relative.startswith("..") else relative
