"""Texts with counts read right for one and for many."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from retrainer.util.counts import many, part

PACKAGE = Path(__file__).parents[2] / "retrainer"
WORDS = "alerts attempts decisions events failures fields letters lines messages partitions rows rules runs slots"
COUNTED = re.compile(rf"(?<!%)\{{(?![A-Z_]+\}})[^{{}},]+\}} (?:\w+ )?(?:{WORDS.replace(' ', '|')})\b")
"""A count beside a plural, in an f-string. Constants, and numbers with thousands separators, are never one."""


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (many(0, "run"), "0 runs"),
        (many(1, "run"), "1 run"),
        (many(2, "waiting run"), "2 waiting runs"),
        (many(1, "series"), "1 series"),
        (many(2, "series"), "2 series"),
        (part(0, 1, "event"), "0 of 1 event"),
        (part(1, 3, "event"), "1 of 3 events"),
    ],
)
def test_counts(told: str, text: str) -> None:
    assert told == text


@pytest.mark.parametrize(
    "layer", ["api", "cli", "daemon", "engine", "rules", "runs", "simulate", "sources", "workflows"]
)
def test_no_text_has_a_plural_beside_a_count_that_may_be_one(layer: str) -> None:
    sources = ((path.name, path.read_text()) for path in (PACKAGE / layer).rglob("*.py"))
    assert {name: found for name, text in sources if (found := COUNTED.findall(text))} == {}
