"""Every example in docs/reference/expressions.md is evaluated by the evaluator of rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.site.expressions import FUNCTION_WORDS, MACRO_WORDS
from retrainer.rules.cel.functions import FUNCTIONS
from retrainer.rules.cel.parse import MACROS
from retrainer.rules.expression import compile_cel

PAGE = Path(__file__).parents[2] / "docs/reference/expressions.md"
SHOWN = re.findall(r"`([^`]+)` → `([^`]+)`", PAGE.read_text().replace("\\|", "|"))


@pytest.mark.parametrize(("example", "result"), [pytest.param(*shown, id=shown[0]) for shown in SHOWN])
def test_an_example_gives_what_the_page_shows(example: str, result: str) -> None:
    gives, expected = (compile_cel(text).evaluate({}) for text in (example, result))
    assert (gives, type(gives)) == (expected, type(expected))


def test_every_function_and_macro_has_an_example() -> None:
    assert set(FUNCTION_WORDS) == set(FUNCTIONS)
    assert set(MACRO_WORDS) > set(MACROS) - {"existsOne"}  # an alias of exists_one
    words = [*FUNCTION_WORDS.values(), *MACRO_WORDS.values()]
    assert len(SHOWN) == sum(len(examples) for _, examples in words)
