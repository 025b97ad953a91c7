"""PURE: what the operators of an expression do. A part of an expression is a function of its variables."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression_functions import ExpressionError, member, part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Value = Any
    Code = Callable[[Mapping[str, Value]], Value]

MOST = 10_000
"""Elements of a range."""


def constant(value: Value) -> Code:
    return lambda _: value


def several(codes: list[Code]) -> Code:
    return lambda env: [code(env) for code in codes]


def negated(code: Code) -> Code:
    return lambda env: not _truth(code(env))


def all_of(codes: list[Code]) -> Code:
    return lambda env: all(_truth(code(env)) for code in codes)


def any_of(codes: list[Code]) -> Code:
    return lambda env: any(_truth(code(env)) for code in codes)


def choice(condition: Code, chosen: Code, other: Code) -> Code:
    return lambda env: chosen(env) if _truth(condition(env)) else other(env)


def optional_member(code: Code, word: str) -> Code:
    return lambda env: None if (value := code(env)) is None else member(value, word)


def element(code: Code, index: Code) -> Code:
    return lambda env: part(code(env), index(env))


def sliced(code: Code, start: Code | None, end: Code | None) -> Code:
    return lambda env: code(env)[slice(start(env) if start else None, end(env) if end else None)]


def _truth(value: Value) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError(f"{value!r} is not true or false")
    return value


def operation(sign: str, left: Code, right: Code) -> Code:
    if sign == "??":
        return lambda env: right(env) if (value := left(env)) is None else value
    function = _OPERATIONS[sign]
    return lambda env: function(left(env), right(env))


def _same(one: Value, other: Value) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _range(first: int, last: int) -> list[int]:
    if last - first >= MOST:
        raise ExpressionError(f"{first}..{last} has more than {MOST} elements")
    return list(range(first, last + 1))


def _power(base: float, exponent: float) -> float:
    return float(pow(float(base), exponent))


_OPERATIONS: Mapping[str, Callable[[Value, Value], Value]] = {
    "==": _same, "!=": lambda one, other: not _same(one, other), "<": operator.lt, ">": operator.gt,
    "<=": operator.le, ">=": operator.ge, "in": lambda item, items: item in items, "+": operator.add,
    "-": operator.sub, "*": lambda one, other: operator.mul(one + 0, other + 0), "/": operator.truediv,
    "%": lambda one, other: operator.mod(one + 0, other), "**": _power, "..": _range,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "!~": lambda text, pattern: re.search(pattern, text) is None,
    "contains": lambda text, word: word in text, "startsWith": str.startswith, "endsWith": str.endswith,
}  # fmt: skip
