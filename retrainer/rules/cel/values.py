"""Values and operators. Numbers are checked for their type and range; costs that grow with the input are charged.

A value is a bool, int (64 bits), `UInt`, float, str, bytes, None, list, dict, datetime (UTC) or timedelta. JSON values
are used as they are and never copied.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel.errors import ExpressionError, OverBudget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.rules.cel.frame import Frame


class UInt(int):
    """An unsigned 64-bit integer."""

    __slots__ = ()


BUDGET = 300_000
"""Maximum steps of an evaluation: at most 100 ms (`tests/unit/rules/cel/test_steps.py`; docs/decisions/0022)."""
ABSORBED = 6
"""Steps charged for an error that another term or item makes irrelevant."""
TEXT_A_STEP = 64
"""Characters that are copied, compared or searched in one step."""
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|us|µs|ns|m|s)")
_UNITS: Mapping[str, int | Decimal] = {
    "h": 3600 * 10**6,
    "m": 60 * 10**6,
    "s": 10**6,
    "ms": 1000,
    "us": 1,
    "µs": 1,
    "ns": Decimal("0.001"),
}
"""Microseconds per unit."""
NAMES = {
    bool: "bool",
    int: "int",
    UInt: "uint",
    float: "double",
    str: "string",
    bytes: "bytes",
    type(None): "null_type",
    list: "list",
    dict: "map",
    datetime: "google.protobuf.Timestamp",
    timedelta: "google.protobuf.Duration",
}
"""Results of `type()`."""
WORDS = {
    bool: "true or false",
    int: "a whole number",
    UInt: "an unsigned number",
    float: "a number",
    str: "a text",
    bytes: "bytes",
    type(None): "null",
    list: "a list",
    dict: "a map",
    datetime: "a timestamp",
    timedelta: "a duration",
}
_NUMBERS = (int, UInt, float)


def kind(value: object) -> str:
    """The type of a value, in words."""
    return WORDS.get(type(value), type(value).__name__)


def shown(value: object) -> str:
    """A value for a message, shortened."""
    if isinstance(value, (str, bytes)):
        return repr(value[:60]) + ("…" if len(value) > 60 else "")
    if isinstance(value, (list, dict)):
        return f"{kind(value)} of {len(value)}"
    return repr(value)[:60]


def charge(frame: Frame, steps: int) -> None:
    """Charge steps. Raise OverBudget if too few are left."""
    frame[1] -= steps
    if frame[1] < 0:
        raise OverBudget(
            f"more than {BUDGET} steps: it asks too much of this input; filter with `match`, or send less in one event"
        )


def equal(frame: Frame, a: Any, b: Any) -> bool:
    """`==` of any two values. Numbers are equal by value; `true` and 1 are not equal."""
    kind_a, kind_b = type(a), type(b)
    if kind_a is kind_b:
        if kind_a is list:
            charge(frame, 2 * min(len(a), len(b)))
            return len(a) == len(b) and all(equal(frame, x, y) for x, y in zip(a, b, strict=True))
        if kind_a is dict:
            charge(frame, 3 * min(len(a), len(b)))
            return len(a) == len(b) and all(has(frame, b, k) and equal(frame, v, b[k]) for k, v in a.items())
        if kind_a is str or kind_a is bytes:
            charge(frame, min(len(a), len(b)) // TEXT_A_STEP)
        return bool(a == b)
    return kind_a in _NUMBERS and kind_b in _NUMBERS and bool(a == b)


def contains(frame: Frame, item: Any, of: Any) -> bool:
    """`in`: an item of a list, or a key of a map."""
    if type(of) is dict:
        return type(item) is not bool and _is_key(item) and has(frame, of, item)
    if type(of) is not list:
        raise ExpressionError(f"`in` looks into a list or a map, not into {kind(of)}")
    for other in of:
        charge(frame, 2)
        if equal(frame, item, other):
            return True
    return False


def _is_key(value: Any) -> bool:
    return isinstance(value, (str, int))


def has(frame: Frame, of: dict[Any, Any], key: Any) -> bool:
    """Whether a map has a key. Charged twice, as the key is compared again if its value is read."""
    if type(key) is str and len(key) >= TEXT_A_STEP:
        charge(frame, 2 * (len(key) // TEXT_A_STEP))
    return key in of


def order(frame: Frame, a: Any, b: Any) -> int:
    """-1 for below, 0 for equal, 1 for above, 2 for no order (NaN). Raise ExpressionError for two different types."""
    kind_a, kind_b = type(a), type(b)
    if kind_a not in _NUMBERS or kind_b not in _NUMBERS:
        if kind_a is not kind_b or kind_a not in (str, bytes, bool, datetime, timedelta):
            raise ExpressionError(f"{kind(a)} and {kind(b)} have no order")
        if kind_a is str or kind_a is bytes:
            charge(frame, min(len(a), len(b)) // TEXT_A_STEP)
    return -1 if a < b else 1 if a > b else 0 if a == b else 2


def add(frame: Frame, a: Any, b: Any) -> Any:
    kinds = (type(a), type(b))
    if kinds in ((str, str), (bytes, bytes)):
        charge(frame, (len(a) + len(b)) // TEXT_A_STEP)
        return a + b
    if kinds == (list, list):
        charge(frame, (len(a) + len(b)) // 8)
        return a + b
    if kinds in ((datetime, timedelta), (timedelta, datetime), (timedelta, timedelta)):
        return _moment(lambda: a + b)
    return _number("+", a, b, lambda: a + b)


def subtract(_frame: Frame, a: Any, b: Any) -> Any:
    if (type(a), type(b)) in ((datetime, timedelta), (datetime, datetime), (timedelta, timedelta)):
        return _moment(lambda: a - b)
    return _number("-", a, b, lambda: a - b)


def multiply(_frame: Frame, a: Any, b: Any) -> Any:
    return _number("*", a, b, lambda: a * b)


def divide(_frame: Frame, a: Any, b: Any) -> Any:
    return _number("/", a, b, lambda: _quotient(a, b))


def remainder(_frame: Frame, a: Any, b: Any) -> Any:
    if type(a) is float:
        raise ExpressionError("`%` is for whole numbers")
    return _number("%", a, b, lambda: a - b * _quotient(a, b))


def _quotient(a: Any, b: Any) -> Any:
    """Integers are truncated towards zero; a float divided by zero is infinite, or NaN."""
    if type(a) is not float:
        if b == 0:
            raise ExpressionError("division by zero")
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def _number(op: str, a: Any, b: Any, work: Callable[[], Any]) -> Any:
    """The result of ``work``. Both operands must have one number type; it is the type of the result."""
    of = type(a)
    if of is not type(b) or of not in _NUMBERS:
        way_out = "; convert one: double(…), int(…)" if {of, type(b)} <= set(_NUMBERS) else ""
        raise ExpressionError(f"`{op}` between {kind(a)} and {kind(b)}{way_out}")
    return ranged(work(), of)


def ranged(value: Any, of: type) -> Any:
    """The number in its type. Raise ExpressionError if it does not fit in 64 bits."""
    if of is float:
        return value
    least, most = (-(2**63), 2**63) if of is int else (0, 2**64)
    if not least <= value < most:  # no `range`: for a `UInt` it would iterate over all its numbers
        raise ExpressionError("a whole number beyond 64 bits")
    return UInt(value) if of is UInt else value


def _moment(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except OverflowError:
        raise ExpressionError("a timestamp or duration beyond the calendar") from None


def negate(_frame: Frame, value: Any) -> Any:
    if type(value) not in (int, float):
        raise ExpressionError(f"`-` before {kind(value)}")
    return ranged(-value, type(value))


def invert(_frame: Frame, value: Any) -> bool:
    return not truth(value, "`!`")


def truth(value: Any, asked_by: str) -> bool:
    """The boolean value. Raise ExpressionError if it is neither true nor false."""
    if value is True or value is False:
        return bool(value)
    raise ExpressionError(f"{asked_by} asks for true or false, not {kind(value)}")


def item(frame: Frame, of: Any, index: Any) -> Any:
    """An item of a list by its index, or of a map by its key. Raise KeyError for a missing key."""
    if type(of) is list:
        if type(index) not in (int, UInt):
            raise ExpressionError(f"the items of a list have whole numbers, not {kind(index)}")
        if not 0 <= index < len(of):
            raise ExpressionError(f"there is no item {index} in a list of {len(of)}")
        return of[index]
    if type(of) is not dict:
        raise ExpressionError(f"{kind(of)} has no items")
    if type(index) is bool or not _is_key(index):
        raise ExpressionError(f"the keys of a map are texts or whole numbers, not {kind(index)}")
    if not has(frame, of, index):
        raise KeyError(index)
    return of[index]


def text_of_number(value: float) -> str:
    """The shortest digits that parse to the same number, without an exponent."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    digits = format(Decimal(repr(value)), "f")
    return digits.removesuffix(".0")


def text_of_moment(value: datetime) -> str:
    """RFC 3339 in UTC, with as many decimals as needed: none, three or six."""
    fraction = "microseconds" if value.microsecond % 1000 else "milliseconds" if value.microsecond else "seconds"
    return value.astimezone(UTC).isoformat(timespec=fraction).replace("+00:00", "Z")


def text_of_duration(value: timedelta) -> str:
    """Seconds, such as `5400s` and `1.5s`."""
    micros = value // timedelta(microseconds=1)
    whole, rest = divmod(abs(micros), 10**6)
    fraction = f".{rest:06}".rstrip("0") if rest else ""
    return f"{'-' if micros < 0 else ''}{whole}{fraction}s"


def read_moment(text: str) -> datetime:
    """Parse RFC 3339 with a time zone; return it in UTC."""
    if not _RFC3339.fullmatch(text):
        raise ExpressionError(f"{shown(text)} is not RFC 3339 with a time zone, such as 2026-03-01T02:30:00Z")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ExpressionError(f"the time {shown(text)} does not exist") from None


def read_duration(text: str) -> timedelta:
    """Parse a duration as Go writes it: `1h30m`, `-1.5s`, `250ms`."""
    sign, body = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    parts = [] if len(body) > 60 else _DURATION.findall(body)
    if body != "0" and (not parts or "".join(n + unit for n, unit in parts) != body):
        raise ExpressionError(f"{shown(text)} is no duration, such as 90s, 1h30m or 250ms")
    try:
        return sign * timedelta(microseconds=int(sum((Decimal(n) * _UNITS[unit] for n, unit in parts), Decimal(0))))
    except OverflowError:
        raise ExpressionError(f"the duration {shown(text)} is beyond the calendar") from None
