"""The tests next to the examples pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrainer.simulate.load_cases import Suite, load_cases
from retrainer.simulate.story import play

EXAMPLES = Path(__file__).parents[3] / "config/examples"
SUITES = load_cases([str(EXAMPLES)])


@pytest.mark.parametrize("suite", [pytest.param(suite, id=Path(suite.file).name) for suite in SUITES])
def test_what_the_examples_promise_is_so(suite: Suite) -> None:
    assert [str(problem) for problem in suite.problems] == []
    assert suite.configuration is not None
    played = [play(case, suite.configuration) for case in suite.cases]
    assert {p.name: p.failures for p in played if not p.passed} == {}


def test_there_are_some() -> None:
    assert len(SUITES) >= 3
