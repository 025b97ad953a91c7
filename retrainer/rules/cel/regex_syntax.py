"""Parse patterns of `matches`, the part of RE2's syntax that can be matched in linear time, to a small program.

https://github.com/google/re2/wiki/Syntax, without Unicode classes. There are no back-references and no look-around.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

MAX_LENGTH = 1000
"""Maximum characters of a pattern."""
MAX_PROGRAM = 2000
"""Maximum steps of a program; counted repetition is expanded in it."""
_MAX_DEPTH = 30
Ranges: TypeAlias = tuple[tuple[str, str], ...]
_DIGIT: Ranges = (("0", "9"),)
_WORD: Ranges = (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z"))
_SPACE: Ranges = (("\t", "\n"), ("\f", "\r"), (" ", " "))
_LAST = chr(0x10FFFF)
_POSIX: dict[str, Ranges] = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "digit": _DIGIT,
    "lower": (("a", "z"),),
    "punct": (("!", "/"), (":", "@"), ("[", "`"), ("{", "~")),
    "space": (("\t", "\r"), (" ", " ")),
    "upper": (("A", "Z"),),
    "word": _WORD,
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
}
_CONTROLS = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ASSERTIONS = {"A": "start", "z": "end", "b": "edge", "B": "inside"}


@dataclass(slots=True)
class One:
    """One character in these ranges, then ``then``."""

    ranges: Ranges
    negated: bool
    fold: bool
    then: int = -1

    def takes(self, character: str) -> bool:
        found = self._within(character)
        if not found and self.fold:
            found = self._within(character.lower()) or self._within(character.upper())
        return found is not self.negated

    def _within(self, character: str) -> bool:
        return any(low <= character <= high for low, high in self.ranges)


@dataclass(slots=True)
class Fork:
    """Any of these steps is next."""

    ways: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Assertion:
    """Consumes nothing; ``kind`` must hold between two characters."""

    kind: str
    then: int = -1


Step: TypeAlias = One | Fork | Assertion
END = -2
"""The next step of a program that has matched."""


@dataclass(frozen=True, slots=True)
class _Flags:
    fold: bool = False
    dot_all: bool = False
    lines: bool = False


class Tree:
    """A node of a pattern: ``kind`` and its parts. ``size`` is the number of steps it compiles to."""

    __slots__ = ("bounds", "kind", "parts", "size", "step")

    def __init__(
        self,
        kind: Literal["step", "all", "any", "repeat"],
        parts: list[Tree] | None = None,
        step: One | Assertion | None = None,
        bounds: tuple[int, int | None] = (1, 1),
    ) -> None:
        self.kind, self.parts, self.step, self.bounds = kind, parts or [], step, bounds
        inner = sum(part.size for part in self.parts)
        least, most = bounds
        self.size: int = 1 + inner * max(least + 1 if most is None else most, 1) + (most or 0)
        if self.size > MAX_PROGRAM:
            raise ValueError(f"the pattern is too large: repetition makes more than {MAX_PROGRAM} steps of it")


class Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Tree:
        tree = self._alternatives(_Flags())
        if self._at < len(self._text):
            raise ValueError("`)` without `(`: open it, or write `[)]` for the character")
        return tree

    def _peek(self, text: str) -> bool:
        return self._text.startswith(text, self._at)

    def _accept(self, text: str) -> bool:
        found = self._peek(text)
        self._at += len(text) if found else 0
        return found

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise ValueError("the pattern ends too early")
        self._at += 1
        return self._text[self._at - 1]

    def _alternatives(self, flags: _Flags) -> Tree:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(f"groups nested deeper than {_MAX_DEPTH} levels")
        ways: list[Tree] = [Tree("all", [])]
        parts: list[Tree] = []
        while self._at < len(self._text) and not self._peek(")"):
            if self._accept("|"):
                ways[-1] = Tree("all", parts)
                ways.append(Tree("all", []))
                parts = []
                continue
            found = self._flags(flags)
            if found is not None:
                flags = found
                continue
            parts.append(self._repeated(flags))
        ways[-1] = Tree("all", parts)
        self._depth -= 1
        return ways[0] if len(ways) == 1 else Tree("any", ways)

    def _flags(self, flags: _Flags) -> _Flags | None:
        """Flags such as `(?i)`, which apply until the group ends."""
        end = self._text.find(")", self._at)
        inside = self._text[self._at + 2 : end] if self._peek("(?") and end > 0 else ""
        if not inside or not set(inside) <= set("imsU-"):
            return None
        self._at = end + 1
        return _changed(flags, inside)

    def _repeated(self, flags: _Flags) -> Tree:
        tree = self._atom(flags)
        times = 0
        while (bounds := self._bounds()) is not None:
            times += 1
            if times > 1:
                raise ValueError("one repetition after the other; put brackets around the inner one")
            self._accept("?")  # lazy or greedy, the answer is the same
            tree = Tree("repeat", [tree], bounds=bounds)
        return tree

    def _bounds(self) -> tuple[int, int | None] | None:
        for sign, bounds in (("*", (0, None)), ("+", (1, None)), ("?", (0, 1))):
            if self._accept(sign):
                return bounds
        end = self._text.find("}", self._at)
        if not self._peek("{") or end < 0:
            return None
        low, comma, high = self._text[self._at + 1 : end].partition(",")
        if not (low.isascii() and low.isdigit() and (not high or (high.isascii() and high.isdigit()))):
            return None  # a literal brace
        if len(low) > 4 or len(high) > 4:
            raise ValueError("a repetition of more than 1,000 times")
        self._at = end + 1
        least, most = int(low), int(high) if high else None if comma else int(low)
        if least > 1000 or (most is not None and (most > 1000 or most < least)):
            raise ValueError(f"a repetition {{{low}{comma}{high}}}: at most 1,000 times, and the smaller number first")
        return least, most

    def _atom(self, flags: _Flags) -> Tree:
        character = self._next()
        if character == "(":
            return self._group(flags)
        if character == "[":
            return _one(*self._set(), flags)
        if character == ".":
            return _one(() if flags.dot_all else (("\n", "\n"),), True, flags)
        if character in "^$":
            kinds = ("line_start", "line_end") if flags.lines else ("start", "end")
            return Tree("step", step=Assertion(kinds[character == "$"]))
        if character == "\\":
            return self._escaped(flags)
        if character in "*+?":
            raise ValueError(f"`{character}` repeats nothing")
        return _one(((character, character),), False, flags)

    def _group(self, flags: _Flags) -> Tree:
        if self._accept("?"):
            end = self._text.find(":", self._at)
            if self._accept("P<") or self._accept("<"):
                if self._next() in "=!":
                    raise ValueError("there is no look-behind")
                self._at = self._text.find(">", self._at) + 1 or len(self._text)
            elif end >= 0 and set(self._text[self._at : end]) <= set("imsU-"):
                flags = _changed(flags, self._text[self._at : end])
                self._at = end + 1
            else:
                raise ValueError("`(?` begins what is not known here; there is no look-around")
        tree = self._alternatives(flags)
        if not self._accept(")"):
            raise ValueError("`(` without `)`: close it, or write `[(]` for the character")
        return tree

    def _escaped(self, flags: _Flags) -> Tree:
        character = self._next()
        if character in _ASSERTIONS:
            return Tree("step", step=Assertion(_ASSERTIONS[character]))
        if (known := _perl(character)) is not None:
            return _one(*known, flags)
        if character == "Q":
            end = self._text.find("\\E", self._at)
            inside = self._text[self._at : end if end >= 0 else len(self._text)]
            self._at += len(inside) + (2 if end >= 0 else 0)
            return Tree("all", [_one(((c, c),), False, flags) for c in inside])
        found = self._character(character)
        return _one(((found, found),), False, flags)

    def _character(self, escaped: str) -> str:
        if escaped in _CONTROLS:
            return _CONTROLS[escaped]
        if escaped == "x":
            return self._hexadecimal()
        if escaped.isalnum():
            raise ValueError(f"`\\{escaped}` means nothing here; there are no back-references and Unicode classes")
        return escaped

    def _hexadecimal(self) -> str:
        end = self._text.find("}", self._at) if self._accept("{") else self._at + 2
        digits = self._text[self._at : end] if end > 0 else ""
        self._at = end + (self._text[end : end + 1] == "}" and self._text[self._at - 1] == "{")
        if not digits or len(digits) > 6 or set(digits) - set("0123456789abcdefABCDEF") or int(digits, 16) > 0x10FFFF:
            raise ValueError("`\\x` wants two hexadecimal digits, or some in braces")
        return chr(int(digits, 16))

    def _set(self) -> tuple[Ranges, bool]:
        negated = self._accept("^")
        ranges: list[tuple[str, str]] = []
        first = True
        while first or not self._peek("]"):
            first = False
            low, several = self._in_set()
            if several:
                ranges += several
                continue
            high = low
            if self._peek("-") and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high, several = self._in_set()
                if several or high < low:
                    raise ValueError(f"the range `{low}-{high}` is written backwards; write the smaller one first")
            ranges.append((low, high))
        self._at += 1
        return tuple(ranges), negated

    def _in_set(self) -> tuple[str, Ranges]:
        """One character, or the ranges of a class."""
        if self._peek("[:"):
            end = self._text.find(":]", self._at)
            name = self._text[self._at + 2 : end]
            if end < 0 or name not in _POSIX:
                raise ValueError("no class of this name")
            self._at = end + 2
            return "", _POSIX[name]
        character = self._next()
        if character != "\\":
            return character, ()
        escaped = self._next()
        known = _perl(escaped)
        if known is None:
            return self._character(escaped), ()
        ranges, negated = known
        return "", _complement(ranges) if negated else ranges


def _one(ranges: Ranges, negated: bool, flags: _Flags) -> Tree:
    return Tree("step", step=One(ranges, negated, flags.fold))


def _perl(letter: str) -> tuple[Ranges, bool] | None:
    ranges = {"d": _DIGIT, "w": _WORD, "s": _SPACE}.get(letter.lower())
    return None if ranges is None else (ranges, letter.isupper())


def _complement(ranges: Ranges) -> Ranges:
    edges = [chr(0), *(edge for low, high in ranges for edge in (chr(max(ord(low) - 1, 0)), chr(ord(high) + 1))), _LAST]
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def _changed(flags: _Flags, letters: str) -> _Flags:
    on, _, off = letters.partition("-")
    now = {"fold": flags.fold, "dot_all": flags.dot_all, "lines": flags.lines}
    for letter, name in (("i", "fold"), ("s", "dot_all"), ("m", "lines")):
        now[name] = letter not in off and (letter in on or now[name])
    return _Flags(**now)
