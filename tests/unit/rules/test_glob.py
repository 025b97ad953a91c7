"""Globs match as an exhaustive matcher does, in bounded time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrainer.rules.glob import MAX_TEXT, GlobError, glob_to_regex


def matches(glob: str, text: str) -> bool:
    return re.compile(glob_to_regex(glob), re.DOTALL).fullmatch(text) is not None


def _tries_everything(glob: str, text: str) -> bool:
    if not glob:
        return not text
    if glob.startswith("**/"):
        rest = [text] + [text[i + 1 :] for i, c in enumerate(text) if c == "/"]
        return any(_tries_everything(glob[3:], left) for left in rest)
    if glob.startswith("**"):
        return any(_tries_everything(glob[2:], text[i:]) for i in range(len(text) + 1))
    if glob.startswith("*"):
        within = len(text.split("/", 1)[0])
        return any(_tries_everything(glob[1:], text[i:]) for i in range(within + 1))
    if glob.startswith("["):
        end = glob.index("]")
        inside = glob[1:end]
        fits = text[:1] not in ("", "/") and (
            (text[0] in inside[1:]) is False if inside[0] == "!" else text[0] in inside
        )
        return fits and _tries_everything(glob[end + 1 :], text[1:])
    fits = text[:1] not in ("", "/") if glob[0] == "?" else text[:1] == glob[0]
    return fits and _tries_everything(glob[1:], text[1:])


@settings(max_examples=3000, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "/", "*", "**", "/**/", "?", "[ab]", "[!a]", "ab"]), max_size=9).map("".join),
    st.text("ab/", max_size=9),
)
def test_it_matches_what_a_matcher_finds_that_tries_everything(glob: str, text: str) -> None:
    try:
        expected = _tries_everything(glob, text)
        assert matches(glob, text) is expected, glob_to_regex(glob)
    except GlobError as error:
        assert "`**/`" in str(error)  # noqa: PT017 - three stars and a slash


@pytest.mark.parametrize(
    ("glob", "text", "expected"),
    [
        ("*.parquet", "a.parquet", True),
        ("*.parquet", "x/a.parquet", False),
        ("**/*.parquet", "a.parquet", True),
        ("**/*.parquet", "x/y/a.parquet", True),
        ("churn/**", "churn/a/b", True),
        ("tenant=*/model=*/**/part-*.parquet", "tenant=1/model=a/dt=2/part-7.parquet", True),
        ("run[0-9]/[!x]", "run7/a", True),
        ("run[0-9]/[!x]", "run7//", False),
        ("[]a]", "]", True),
        ("[a-]", "-", True),
        ("[^a]", "b", True),
        ("a[b", "a[b", True),
        ("[[]x[&&]", "[x&", True),
        ("a.b*", "axb", False),
        ("*", "a\nb", True),
    ],
)
def test_what_it_matches(glob: str, text: str, expected: bool) -> None:
    assert matches(glob, text) is expected


@pytest.mark.parametrize(
    ("glob", "at", "said"),
    [
        ("run[2024-2023]/*", 7, "the range `4-2` in `[2024-2023]` is written backwards"),
        ("a[z-a]", 2, "the range `z-a` in `[z-a]` is written backwards"),
        ("a**/b", 1, "`**/` must stand at the beginning or behind a `/`"),
        ("a[b/]", 3, "a set takes no `/`"),
        ("*" * 300, 0, "a glob of 300 characters; at most 256 are allowed"),
    ],
)
def test_what_is_no_glob(glob: str, at: int, said: str) -> None:
    with pytest.raises(GlobError) as error:
        glob_to_regex(glob)
    assert (error.value.at, str(error.value)) == (at, said)
    assert error.value.hint


@pytest.mark.parametrize(
    ("glob", "text"),
    [
        ("*_*_*.parquet", "_" * MAX_TEXT),
        ("*_" * 100 + "x", "_" * MAX_TEXT),
        ("**a*b", "a" * MAX_TEXT),
        ("**a**a**a**b", "a" * MAX_TEXT),
        ("**/*a*a*b/**/c", "a" * 60 + "/" + "aa/" * 1300),
        ("**/" + "*/" * 100 + "b", "/" * MAX_TEXT),
        ("*" + "a" * 250 + "b*", "a" * MAX_TEXT),
    ],
)
def test_no_text_takes_long(glob: str, text: str) -> None:
    began = time.process_time()
    assert not matches(glob, text)
    assert time.process_time() - began < 0.1
