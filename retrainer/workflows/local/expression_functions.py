"""PURE: the functions of Argo's expression language that templates may call, with the arguments in Argo's order."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Value = Any


class ExpressionError(ValueError):
    """An expression cannot be read, or has no value. The message says why."""


def text_of(value: Value) -> str:
    """Return a value as Argo inserts it into a text: texts as they are, everything else as JSON."""
    if value is None:
        raise ExpressionError("has no value")
    return value if isinstance(value, str) else to_json(value)


def to_json(value: Value) -> str:
    return json.dumps(_plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Value) -> Value:
    """Return whole numbers without a fraction, as Go writes them."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def member(value: Value, word: str) -> Value:
    if not isinstance(value, dict):
        raise ExpressionError(f"{_short(value)} has no members, such as {word!r}")
    return part(value, word)


def part(value: Value, key: Value) -> Value:
    """Return an element of a list, or a member of a map; None for one that is not there, as in Argo."""
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, list | str) and isinstance(key, int):
        return value[key]
    raise ExpressionError(f"{_short(value)} has no {_short(key)}")


def _short(value: Value) -> str:
    return repr(value)[:60]


def _int(value: Value) -> int:
    return int(value) if not isinstance(value, str) else int(value.strip())


def _string(value: Value) -> str:
    return "nil" if value is None else value if isinstance(value, str) else to_json(value)


def _length(value: Value) -> int:
    return len(value)


def _round(value: float) -> float:
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def _ternary(chosen: Value, other: Value, condition: Value) -> Value:
    return chosen if condition else other


FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "int": _int, "float": float, "string": _string, "asInt": _int, "asFloat": float,
    "toJson": to_json, "toJSON": to_json, "fromJSON": json.loads,
    "len": _length, "abs": abs, "ceil": math.ceil, "floor": math.floor, "round": _round, "min": min, "max": max,
    "upper": str.upper, "lower": str.lower, "trim": str.strip, "split": str.split,
    "trimPrefix": str.removeprefix, "trimSuffix": str.removesuffix,
    "replace": str.replace, "hasPrefix": str.startswith, "hasSuffix": str.endswith, "indexOf": str.find,
    "join": lambda items, sign="": sign.join(items), "keys": list, "values": lambda items: list(items.values()),
    "first": lambda items: items[0], "last": lambda items: items[-1], "sort": sorted,
    "reverse": lambda items: items[::-1], "uniq": lambda items: list(dict.fromkeys(items)),
    "sum": sum,
}  # fmt: skip
LOOPS: Mapping[str, Callable[[Value, Callable[[Value], Value]], Value]] = {
    "filter": lambda items, each: [item for item in items if each(item)],
    "map": lambda items, each: [each(item) for item in items],
    "all": lambda items, each: all(each(item) for item in items),
    "any": lambda items, each: any(each(item) for item in items),
    "none": lambda items, each: not any(each(item) for item in items),
    "one": lambda items, each: sum(bool(each(item)) for item in items) == 1,
    "count": lambda items, each: sum(bool(each(item)) for item in items),
    "find": lambda items, each: next((item for item in items if each(item)), None),
}
SPRIG: Mapping[str, Callable[..., Value]] = {
    "upper": str.upper, "lower": str.lower, "trim": str.strip, "title": str.title, "toString": _string,
    "replace": lambda old, new, text: text.replace(old, new),
    "trimPrefix": lambda prefix, text: text.removeprefix(prefix),
    "trimSuffix": lambda suffix, text: text.removesuffix(suffix), "trimAll": lambda signs, text: text.strip(signs),
    "contains": lambda word, text: word in text, "hasPrefix": lambda word, text: text.startswith(word),
    "hasSuffix": lambda word, text: text.endswith(word), "splitList": lambda sign, text: text.split(sign),
    "join": lambda sign, items: sign.join(map(_string, items)), "list": lambda *items: list(items),
    "trunc": lambda size, text: text[:size] if size >= 0 else text[size:],
    "substr": lambda start, end, text: text[start : end if end >= 0 else None],
    "int": _int, "int64": _int, "float64": float, "add": lambda *items: sum(map(_int, items)),
    "sub": lambda one, other: _int(one) - _int(other), "mul": lambda *items: math.prod(map(_int, items)),
    "div": lambda one, other: _int(one) // _int(other), "mod": lambda one, other: _int(one) % _int(other),
    "max": max, "min": min, "ternary": _ternary, "default": lambda fallback, value: value or fallback,
    "empty": lambda value: not value, "quote": lambda value: json.dumps(_string(value)), "toJson": to_json,
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(), "uniq": lambda items: list(dict.fromkeys(items)),
    "b64dec": lambda text: base64.b64decode(text).decode(),
}  # fmt: skip
