"""Patterns match as Python's do, wherever both have the same syntax."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrainer.rules.cel.pattern import Pattern, matches_whole
from retrainer.rules.cel.values import BUDGET
from retrainer.rules.expression import compile_cel

_ATOMS = st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "\\w", "\\d", "\\s", "\\D", "\\b", "^", "$", "c-", "\\."])
_MORE = lambda inner: st.one_of(  # noqa: E731 - a strategy
    st.builds("{}{}".format, inner, inner),
    st.builds("(?:{}|{})".format, inner, inner),
    st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}", "*?", "+?"])),
)
PATTERNS = st.recursive(_ATOMS, _MORE, max_leaves=8)


def found(pattern: str, text: str) -> bool:
    return bool(compile_cel("t.matches(p)").evaluate({"t": text, "p": pattern}))


@settings(max_examples=1000, deadline=None)
@given(PATTERNS, st.text("abc-. 1\n", max_size=12))
def test_it_finds_what_python_finds(pattern: str, text: str) -> None:
    theirs = re.search(pattern.replace("$", "\\Z"), text, re.ASCII)
    assert found(pattern, text) is (theirs is not None), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("(?i)ABC", "xabcx", True),
        ("a(?i:B)c", "aBc", True),
        ("a(?i:B)c", "abC", False),
        ("(?s)a.b", "a\nb", True),
        ("(?m)^b$", "a\nb\nc", True),
        ("^b$", "a\nb\nc", False),
        ("[[:digit:]]+x", "12x", True),
        ("[]a]", "]", True),
        ("[a\\]-]", "-", True),
        ("\\x41\\x{42}", "AB", True),
        ("\\Qa.b\\E$", "a.b", True),
        ("\\Qa.b\\E", "axb", False),
        ("(?P<name>a)b", "ab", True),
        ("a{,2}", "a{,2}", True),
        ("\\Aab\\z", "ab", True),
        ("a|b|", "c", True),
        ("[\\D]", "5", False),
        ("é+", "éé", True),
    ],
)
def test_what_else_there_is(pattern: str, text: str, expected: bool) -> None:
    assert found(pattern, text) is expected


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(a", "`(` without `)`"),
        ("a)", "`)` without `(`"),
        ("[a", "the pattern ends too early"),
        ("[b-a]", "the range `b-a` is written backwards"),
        ("*a", "`*` repeats nothing"),
        ("a**", "one repetition after the other"),
        ("a{3,2}", "the smaller number first"),
        ("a{1001}", "at most 1,000 times"),
        ("(a)\\1", "no back-references"),
        ("a(?=b)", "no look-around"),
        ("(?<=a)b", "no look-behind"),
        ("\\pL", "Unicode classes"),
        ("((a{0,100}){0,100}){0,100}", "too large"),
        ("(" * 50 + ")" * 50, "nested deeper"),
        ("a" * 1001, "at most 1000"),
        ("\\", "ends too early"),
    ],
)
def test_what_is_no_pattern(pattern: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Pattern(pattern)


@settings(max_examples=500, deadline=None)
@given(st.text("ab()[]{}|*+?^$\\-,.:0129PQEdwx<>i", max_size=30), st.text("ab1", max_size=5))
def test_any_pattern_is_matched_or_refused_with_a_reason(pattern: str, text: str) -> None:
    try:
        Pattern(pattern)
    except ValueError as error:
        assert str(error)  # noqa: PT017 - either outcome is valid
        return
    found(pattern, text)


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "(a?){50}a{50}b", "[ab]*a[ab]{14}c", "(.*a){20}b"])
def test_time_is_in_proportion_to_the_text(pattern: str) -> None:
    began = time.thread_time()
    try:
        assert compile_cel("t.matches(p)").steps({"t": "ab" * 20_000 + "a", "p": pattern}) < BUDGET
    except ValueError as error:
        assert "steps" in str(error)  # noqa: PT017 - either outcome is valid
    assert time.thread_time() - began < 2.0


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("orders-.*", "orders-eu", True),
        ("orders-.*", "my-orders-eu", False),
        ("orders|sales", "sales", True),
        ("orders|sales", "salesx", False),
        ("(a+)+b", "a" * 249, False),
    ],
)
def test_the_whole_name_of_a_topic_is_matched(pattern: str, topic: str, expected: bool) -> None:
    assert matches_whole(topic, pattern) is expected
