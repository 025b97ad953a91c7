"""Unquoted scalars by the core schema of YAML 1.2. Scalars that other parsers read differently are rejected."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from retrainer.config.errors import cut

if TYPE_CHECKING:
    from retrainer.config.tree import Scalar

_NULL = frozenset({"~", "null", "Null", "NULL"})
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_WORDS = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_INT = re.compile(r"[-+]?[0-9]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_OCTAL = re.compile(r"[-+]?0[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TRAPS = {
    re.compile(
        r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?"
    ): "text to some readers of YAML and a number to base 60 to others: write {quoted}",
    re.compile(
        r"[-+]?0[0-9_]+|0o[0-7]+|0b[01_]+"
    ): "octal or binary to some readers of YAML and not to others: write {decimal}{or_quoted}",
    re.compile(
        r"[-+]?[0-9]+([eE][-+]?[0-9]+)|[-+]?[0-9]*\.[0-9]*[eE][0-9]+"
    ): "a number to some readers of YAML and text to others: write {decimal}{or_quoted}",
    re.compile(
        r"[-+]?[0-9](?=.*_)[0-9_.]*"
    ): "a number to some readers of YAML and text to others: write {decimal}{or_quoted}",
    re.compile(r"[-+]?\.(inf|nan)", re.IGNORECASE): "not a finite number: write a number, such as 1{or_quoted}",
}
"""Texts that parsers read differently; the first pattern that matches the whole text is used."""
_LARGEST = 2**63
LONGEST_SHOWN = 40


@lru_cache(128)
def resolve(text: str) -> Scalar:
    """Return the value of an unquoted scalar. Raise ValueError, with a correction, if parsers disagree about it."""
    return resolve_for(text, text_fits=True, boolean_fits=True)


def resolve_for(text: str, *, text_fits: bool, boolean_fits: bool) -> Scalar:
    """Like `resolve`, for a place whose kind is known: the correction offers a text or a boolean only if one fits.

    Where no text fits, a whole number beyond 64 bits is returned: its field has a bound, which the error then names.
    """
    if text in _NULL:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if text[0] not in "+-.0123456789" and text.lower() not in _WORDS:
        return text
    trap = _trap(text, text_fits=text_fits, boolean_fits=boolean_fits)
    if trap:
        raise ValueError(trap)
    if _INT.fullmatch(text) or _HEX.fullmatch(text):
        return _integer(text, text_fits=text_fits)
    if _FLOAT.fullmatch(text):
        return _number(text)
    return text


def _trap(text: str, *, text_fits: bool, boolean_fits: bool) -> str:
    """The message for a scalar that parsers read differently; empty if all agree."""
    shown = cut(text, LONGEST_SHOWN)
    quoted = f'"{shown}"'
    word = _WORDS.get(text.lower())
    if word:
        instead = f"{word}, or {quoted} for the text" if boolean_fits else quoted
        return f"`{shown}` is text to some readers of YAML and {word} to others: write {instead}"
    found = next((message for pattern, message in _TRAPS.items() if pattern.fullmatch(text)), None)
    also = f", or {quoted}" if text_fits else ""
    return f"`{shown}` is {found.format(quoted=quoted, decimal=_decimal(text), or_quoted=also)}" if found else ""


def _decimal(text: str) -> str:
    """The number without what parsers read differently, and its other value where a zero in front may mean octal."""
    plain = text.replace("_", "")
    if plain[:2] in ("0b", "0o"):
        return str(int(plain, 0)) if len(plain) > 2 else "it out"
    if len(plain) > LONGEST_SHOWN or not _FLOAT.fullmatch(plain) or abs(Decimal(plain).adjusted()) > LONGEST_SHOWN:
        return "it out"
    octal = f" (or {int(plain, 8)}, if it is octal)" if _OCTAL.fullmatch(plain) else ""
    return f"{Decimal(plain):f}".lstrip("0") + octal if octal else f"{Decimal(plain):f}"


def _integer(text: str, *, text_fits: bool) -> int:
    value = _LARGEST if len(text) > 100 else int(text, 0) if text.startswith("0x") else int(text)
    if text_fits and not -_LARGEST <= value < _LARGEST:
        raise ValueError(f"`{cut(text, LONGEST_SHOWN)}` does not fit into 64 bits: write a smaller number, or quote it")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"`{cut(text, LONGEST_SHOWN)}` is too large a number: write a smaller one, or quote it")
    return value
