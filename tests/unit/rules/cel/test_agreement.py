"""The evaluator agrees with an independent one in Rust, wherever both follow the language definition."""

from __future__ import annotations

import math
import re
from typing import Any

import cel
import pytest
from hypothesis import given, settings

from retrainer.rules.expression import compile_cel
from tests.unit.rules.cel.kit import EXPRESSIONS, SCOPE

# Where the Rust evaluator is incomplete or deviates from the definition,
# https://github.com/google/cel-spec/blob/master/doc/langdef.md:
_DIFFER = (
    "size(",  # of a string: bytes, not characters
    "string(",  # of booleans; timestamps and durations in a different format
    "exists(",  # an error next to a deciding result
    "all(",
    "duration(",  # text after a duration is ignored
    "timestamp(",  # keeps the original offset
    "int(",  # of a timestamp; also `uint(`
    "matches(",
    "getMilliseconds",
    "{",  # boolean keys
    "[2u]",
    "[(2u",
    "in ",
    "type(",  # a type instead of a string
    "-(",  # accepts booleans
)
_KEYS_OF_A_MAP = re.compile(r"event\.data(\.m)?(?![.\w]).*\)\.(map|filter)\(")
"""The definition gives the keys of a map no order, and the Rust evaluator's differs at each evaluation."""


def _ours(text: str) -> Any:
    try:
        return compile_cel(text).evaluate(SCOPE)
    except ValueError:
        return "no value"


def _theirs(text: str) -> Any:
    try:
        return cel.evaluate(text, SCOPE)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "no value"


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def _comparable(text: str) -> bool:
    return not _KEYS_OF_A_MAP.search(text) and not any(odd in text for odd in _DIFFER) and _within_caps(text)


def _within_caps(text: str) -> bool:
    """Whether the expression is within our limits, such as the one on macros. The Rust evaluator has none."""
    try:
        compile_cel(text)
    except ValueError as error:
        return "at most" not in str(error)
    return True


@settings(max_examples=1500, deadline=None)
@given(EXPRESSIONS.filter(_comparable))
def test_any_expression(text: str) -> None:
    ours, theirs = _ours(text), _theirs(text)
    assert _same(ours, theirs), (text, ours, theirs)


@pytest.mark.parametrize(
    "text",
    [
        "event.data.xs.exists(x, x > 2)",
        "event.data.xs.all(x, x > 0)",
        "event.data.names.exists_one(x, x == 'a')",
        "size(event.data.s) == 3 && event.data.xs.size() == 3",
        "string(event.data.n) + string(event.data.f) + string(event.data.s)",
        "timestamp('2026-01-01T00:00:00Z') < event.time",
        "event.time - duration('36h') < timestamp('2026-01-01T00:00:00Z')",
        "int(event.data.f) + int('12') + int(2u)",
        "double('1e5') + double(event.data.n)",
        "event.data.s.matches('^a.c$') && event.data.s.matches('[a-c]{3}') && !event.data.s.matches('b$')",
        "event.data.s.matches('(?i)B') && event.data.s.matches('x|b') && event.data.s.matches('')",
        "{'a': event.data.n}.a == 5",
        "'a' in event.data.names && !('z' in event.data.m)",
        "[event.time.getFullYear(), event.time.getMilliseconds(), event.time.getDayOfYear()]",
        "event.data.m.b.c[0] == 1 ? 'one' : 'other'",
        "event.data.xs.map(x, {'n': x}).filter(m, m.n > 1)",
    ],
)
def test_what_rules_write(text: str) -> None:
    ours = _ours(text)
    assert ours != "no value"
    assert _same(ours, _theirs(text))
