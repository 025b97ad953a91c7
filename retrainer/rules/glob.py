"""Globs over paths. `*` and `?` stay within a segment, `**` spans segments, `**/` is any number of them, `[…]` a set.

A glob becomes a regular expression that never backtracks over what it has matched, so its time is linear in the text.
After a `*` the first place where the next piece fits is as good as any later one, as the next `*` reaches no farther
from there. After a `**` the same holds for the first place where everything up to the next `**` fits. For this, a set
excludes `/`, and `**/` is allowed only at the beginning or after a `/`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_GLOB = 256
"""Maximum characters of a glob."""
_NUMBERS = re.compile(r"([0-9]+)-([0-9]+)", re.ASCII)
_ONE = "brackets stand for one character: write "
MAX_TEXT = 4096
"""Maximum characters of a text that a glob can match: no path is longer. A longer text does not match."""
SPECIAL = re.compile(r"[*?\[]")
_WITHIN, _ACROSS, _PARTS = "*", "**", "**/"
_STARS = (_PARTS, _ACROSS, _WITHIN)


class GlobError(ValueError):
    """``at`` is an index in characters from 0; ``hint`` says how to correct the glob."""

    def __init__(self, at: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.at = at
        self.hint = hint


def glob_to_regex(glob: str) -> str:
    """A regular expression for `fullmatch` with DOTALL. Raise GlobError for an invalid glob."""
    stretches = _stretches(glob)
    *before, (star, pieces) = stretches
    return "".join(f"(?>{_stretch(*one)})" for one in before if one != ("", [""])) + _last(star, pieces)


def literal_prefix(glob: str) -> str:
    """The literal text with which every match begins."""
    return SPECIAL.split(glob, maxsplit=1)[0]


def _stretch(star: str, pieces: list[str]) -> str:
    """The expression from one star that spans segments to the next: each piece at the first place where it fits."""
    first, *rest = pieces
    begin = {"": first, _PARTS: f"(?:[^/]*+/)*?{first}", _ACROSS: f"(?:[^/]*+/)*?(?>[^/]*?{first})"}[star]
    return begin + "".join(f"(?>[^/]*?{piece})" for piece in rest)


def _last(star: str, pieces: list[str]) -> str:
    """The same for the last stretch, whose last piece must be at the end of the text."""
    *before, end = pieces
    if not before:
        return {"": end, _PARTS: f"(?:[^/]*+/)*?{end}", _ACROSS: f".*{end}"}[star]
    return f"{_stretch(star, before)}[^/]*{end}"


def _stretches(glob: str) -> list[tuple[str, list[str]]]:
    """The star that starts each stretch, and its pieces, which are separated by `*`."""
    found: list[tuple[str, list[str]]] = [("", [""])]
    for star, text in _words(glob):
        if star in (_PARTS, _ACROSS):
            found.append((star, [""]))
        elif star:
            found[-1][1].append("")
        else:
            found[-1][1][-1] += text
    return found


def _words(glob: str) -> Iterator[tuple[str, str]]:
    """Yield the stars, and the expressions for single characters."""
    if len(glob) > MAX_GLOB:
        raise GlobError(0, f"a glob of {len(glob)} characters; at most {MAX_GLOB} are allowed", "write a shorter one")
    i = 0
    while i < len(glob):
        star = next((s for s in _STARS if glob.startswith(s, i)), "")
        if star == _PARTS and i > 0 and glob[i - 1] != "/":
            hint = f"write `{glob[:i]}/{glob[i:]}` or `{glob[:i]}*{glob[i + 2 :]}`"
            raise GlobError(i, "`**/` must stand at the beginning or behind a `/`", hint)
        if star:
            yield star, ""
            i += len(star)
        elif glob[i] == "[" and (end := glob.find("]", i + 2)) > 0:
            yield "", _set(glob, i + 1, end)
            i = end + 1
        else:
            yield "", "[^/]" if glob[i] == "?" else re.escape(glob[i])
            i += 1


def _set(glob: str, begin: int, end: int) -> str:
    """The expression for `[abc]`, `[a-f]`, or `[!abc]`, which is any other character except `/`."""
    inside, at = glob[begin:end], begin - 1
    negated = inside[0] in "!^" and len(inside) > 1
    out, i = "", int(negated)
    while i < len(inside):
        low = high = inside[i]
        if inside[i + 1 : i + 2] == "-" and i + 2 < len(inside):
            high = inside[i + 2]
            if high < low:
                problem = f"the range `{low}-{high}` in `[{inside:.40}]` is written backwards"
                raise GlobError(at + 1 + i, problem, _in_order(glob, begin, end) or _ONE + f"`[{high}-{low}]`")
            i += 2
        if low == "/":
            raise GlobError(at + 1 + i, "a set takes no `/`", "a `/` stands by itself between the parts of a path")
        out += re.escape(low) + ("-" + re.escape(high) if high != low else "")
        i += 1
    return f"[^/{out}]" if negated else f"(?!/)[{out}]"


def _in_order(glob: str, begin: int, end: int) -> str:
    """What to write for two numbers that differ in their last digit, as in `[2023-2024]`; empty for other sets."""
    found = _NUMBERS.fullmatch(glob[begin:end])
    low, high = sorted(found.groups()) if found else ("", "")
    if len(low) != len(high) or not low or low[:-1] != high[:-1]:
        return ""
    narrow = f"{glob[: begin - 1]}{low[:-1]}[{low[-1]}-{high[-1]}]{glob[end + 1 :]}"
    return f"{_ONE}`{narrow}` for {low} to {high}"
