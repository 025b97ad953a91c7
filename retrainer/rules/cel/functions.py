"""Functions of expressions: the types they take and return, and their cost in steps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel import values
from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.cel.function import ANY, NUMBER, TEXT, Function
from retrainer.rules.cel.list_functions import LIST_FUNCTIONS
from retrainer.rules.cel.pattern import matches
from retrainer.rules.cel.text_functions import TEXT_FUNCTIONS, text_of
from retrainer.rules.cel.time_functions import TIME_FUNCTIONS
from retrainer.rules.cel.values import TEXT_A_STEP, UInt, charge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.cel.frame import Frame

_WHOLE = re.compile(r"[+-]?[0-9]{1,25}")
# Possessive quantifiers: with two ways to read digits, the time would grow with the square of the length.
_FLOAT = re.compile(r"[+-]?((\d++(\.\d*+)?+|\.\d++)(e[+-]?\d++)?+|inf|infinity|nan)", re.IGNORECASE | re.ASCII)
_SHORT = 2500
"""Text length below which Python's search compares at each position: its cost is the product of both lengths."""
_SECOND = timedelta(seconds=1)


def _size(_frame: Frame, of: Any) -> int:
    return len(of)


def _contains(frame: Frame, text: str, part: str) -> bool:
    charge(frame, (len(text) + len(part)) // TEXT_A_STEP * 4)
    if len(text) < _SHORT:
        charge(frame, max(len(text) - len(part), 0) * len(part) // 2048)
    return part in text


def _starts(frame: Frame, text: str, part: str) -> bool:
    charge(frame, len(part) // TEXT_A_STEP)
    return text.startswith(part)


def _ends(frame: Frame, text: str, part: str) -> bool:
    charge(frame, len(part) // TEXT_A_STEP)
    return text.endswith(part)


def _string(frame: Frame, value: Any) -> str:
    if isinstance(value, bytes):
        charge(frame, len(value) // TEXT_A_STEP)
        return value.decode(errors="replace")
    return text_of(value)


def _int(_frame: Frame, value: Any) -> int:
    if isinstance(value, datetime):
        return int((value - datetime(1970, 1, 1, tzinfo=UTC)) // _SECOND)
    return int(values.ranged(_whole(value), int))


def _uint(_frame: Frame, value: Any) -> UInt:
    return UInt(values.ranged(_whole(value), UInt))


def _whole(value: Any) -> int:
    if isinstance(value, str):
        if not _WHOLE.fullmatch(value):
            raise ExpressionError(f"{values.shown(value)} is no whole number")
        return int(value)
    if isinstance(value, float) and not abs(value) < 2.0**64:  # infinite, or NaN
        raise ExpressionError("a whole number beyond 64 bits")
    return int(value)


def _double(_frame: Frame, value: Any) -> float:
    if isinstance(value, str) and (len(value) > 400 or not _FLOAT.fullmatch(value)):
        raise ExpressionError(f"{values.shown(value)} is no number")
    return float(value)


def _bytes(frame: Frame, value: Any) -> bytes:
    charge(frame, len(value) // TEXT_A_STEP)
    return value.encode() if isinstance(value, str) else bytes(value)


def _timestamp(_frame: Frame, value: Any) -> datetime:
    return value if isinstance(value, datetime) else values.read_moment(value)


def _duration(_frame: Frame, value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else values.read_duration(value)


def _type(_frame: Frame, value: Any) -> str:
    return values.NAMES.get(type(value), "dyn")


FUNCTIONS: Mapping[str, Function] = {
    "size": Function((frozenset({"text", "bytes", "list", "map"}),), "int", _size, also_free=True),
    "contains": Function((TEXT, TEXT), "bool", _contains),
    "startsWith": Function((TEXT, TEXT), "bool", _starts),
    "endsWith": Function((TEXT, TEXT), "bool", _ends),
    "matches": Function((TEXT, TEXT), "bool", matches, cost=15),
    "string": Function(
        (NUMBER | {"text", "bytes", "bool", "moment", "duration"},), "text", _string, member=False, cost=20
    ),
    "int": Function((NUMBER | {"text", "moment"},), "int", _int, member=False, cost=10),
    "uint": Function((NUMBER | {"text"},), "uint", _uint, member=False, cost=10),
    "double": Function((NUMBER | {"text"},), "double", _double, member=False, cost=10),
    "bytes": Function((TEXT | {"bytes"},), "bytes", _bytes, member=False),
    "timestamp": Function((TEXT | {"moment"},), "moment", _timestamp, member=False, cost=20),
    "duration": Function((TEXT | {"duration"},), "duration", _duration, member=False, cost=40),
    "type": Function((ANY,), "text", _type, member=False),
    "dyn": Function((ANY,), "any", lambda _frame, value: value, member=False),
    **TEXT_FUNCTIONS,
    **LIST_FUNCTIONS,
    **TIME_FUNCTIONS,
}
KINDS = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "text",
    bytes: "bytes",
    type(None): "null",
    list: "list",
    dict: "map",
    datetime: "moment",
    timedelta: "duration",
}
"""Type of a value, as in ``takes`` and ``gives``."""
WORDS = {KINDS[of]: words for of, words in values.WORDS.items()} | {"any": "a value"}
"""The types in words."""


def usage(name: str) -> str:
    """How to write a call of the function."""
    function = FUNCTIONS[name]
    needed = function.takes[1 : len(function.takes) - function.optional]
    rest = ", ".join("'TEXT'" if kinds == {"text"} else "…" for kinds in needed)
    return f"`x.{name}({rest})`" if function.member else f"`{name}(…)`"
