"""Functions of texts, with the names and meanings of the CEL strings extension that Kubernetes has.

https://pkg.go.dev/github.com/google/cel-go/ext#Strings
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel import values
from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.cel.function import INT, LIST, TEXT, Function
from retrainer.rules.cel.values import TEXT_A_STEP, charge, kind, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.cel.frame import Frame

_A_PART = 2
"""Steps for each text that is created."""
_UPPER = {code: code - 32 for code in range(ord("a"), ord("z") + 1)}
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_CLAUSE = re.compile(r"%(?:\.([0-9]{1,2}))?(.?)", re.DOTALL)
_WHOLE = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}
_DECIMALS = 6


def _copied(frame: Frame, text: str) -> str:
    charge(frame, len(text) // TEXT_A_STEP)
    return text


def _char_at(_frame: Frame, text: str, index: int) -> str:
    _within(index, len(text), text)
    return text[index : index + 1]


def _substring(frame: Frame, text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    _within(end, len(text), text)
    _within(start, end, text)
    return _copied(frame, text[start:end])


def _within(index: int, most: int, text: str) -> None:
    if not 0 <= index <= most:
        raise ExpressionError(f"there is no position {index} between 0 and {most} of {shown(text)}")


def _searched(frame: Frame, text: str, part: str) -> None:
    charge(frame, len(text) * max(len(part), 1) // 2048 + (len(text) + len(part)) // TEXT_A_STEP)


def _index_of(frame: Frame, text: str, part: str, start: int = 0) -> int:
    _within(start, len(text), text)
    _searched(frame, text, part)
    return text.find(part, start)


def _last_index_of(frame: Frame, text: str, part: str) -> int:
    _searched(frame, text, part)
    return text.rfind(part)


def _replace(frame: Frame, text: str, old: str, new: str, most: int = -1) -> str:
    _searched(frame, text, old)
    count = text.count(old) if most < 0 else min(text.count(old), most)
    charge(frame, count + (len(text) + count * len(new)) // TEXT_A_STEP)
    return text.replace(old, new, most)


def _split(frame: Frame, text: str, separator: str, most: int = -1) -> list[str]:
    _searched(frame, text, separator)
    count = text.count(separator) + 1 if separator else len(text)
    charge(frame, _A_PART * (count if most < 0 else min(count, most)))
    if most == 0:
        return []
    if separator:
        return text.split(separator, most - 1 if most > 0 else -1)
    return list(text) if most < 0 or most >= len(text) else [*text[: most - 1], text[most - 1 :]]


def _join(frame: Frame, texts: list[Any], separator: str = "") -> str:
    charge(frame, _A_PART * len(texts) + len(separator) * len(texts) // TEXT_A_STEP)
    odd = next((text for text in texts if type(text) is not str), None)
    if odd is not None:
        raise ExpressionError(f"`join` takes a list of texts, not of {kind(odd)}; convert them: map(x, string(x))")
    charge(frame, sum(map(len, texts)) // TEXT_A_STEP)
    return separator.join(texts)


def _format(frame: Frame, text: str, given: list[Any]) -> str:
    """`%s`, `%d`, `%f`, `%e`, `%x`, `%o`, `%b` and `%%`; `%.2f` has two decimals."""
    rest = iter(given)
    charge(frame, len(text) // TEXT_A_STEP)

    def fill(clause: re.Match[str]) -> str:
        if clause[2] == "%":
            return "%"
        charge(frame, 20)
        try:
            value = next(rest)
        except StopIteration:
            raise ExpressionError(f"`format` has no value for {clause[0]!r}") from None
        return _copied(frame, _clause(clause, value))

    return _CLAUSE.sub(fill, text)


def _clause(clause: re.Match[str], value: Any) -> str:
    letter, of = clause[2], type(value)
    if letter == "s" and of not in (list, dict, type(None), bytes):
        return text_of(value)
    if letter in _WHOLE and of in (int, values.UInt):
        return format(int(value), _WHOLE[letter])
    if letter in ("f", "e") and of in (int, values.UInt, float):
        return format(float(value), f".{clause[1] or _DECIMALS}{letter}")
    raise ExpressionError(
        f"`format` has no {clause[0]!r} of {kind(value)}; %s, %d, %f, %e, %x, %o, %b and %% are known"
    )


def text_of(value: Any) -> str:
    """A scalar as `string()` writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return values.text_of_number(value)
    if isinstance(value, datetime):
        return values.text_of_moment(value)
    return values.text_of_duration(value) if isinstance(value, timedelta) else str(value)


TEXT_FUNCTIONS: Mapping[str, Function] = {
    "lowerAscii": Function((TEXT,), "text", lambda frame, text: _copied(frame, text).translate(_LOWER), cost=4),
    "upperAscii": Function((TEXT,), "text", lambda frame, text: _copied(frame, text).translate(_UPPER), cost=4),
    "trim": Function((TEXT,), "text", lambda frame, text: _copied(frame, text).strip(), cost=4),
    "charAt": Function((TEXT, INT), "text", _char_at),
    "substring": Function((TEXT, INT, INT), "text", _substring, optional=1),
    "indexOf": Function((TEXT, TEXT, INT), "int", _index_of, optional=1),
    "lastIndexOf": Function((TEXT, TEXT), "int", _last_index_of),
    "replace": Function((TEXT, TEXT, TEXT, INT), "text", _replace, optional=1, cost=4),
    "split": Function((TEXT, TEXT, INT), "list", _split, optional=1, cost=4),
    "join": Function((LIST, TEXT), "text", _join, optional=1, cost=4),
    "format": Function((TEXT, LIST), "text", _format, cost=20),
}
