"""The printed and written account: every broken claim is in it, and counts in the figures."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from tests.soak.account import Claim, account
from tests.soak.page import figures, report, told
from tests.soak.plan import Fault

from .test_account import facts

GOOD = Claim("one thing", "seen")
BAD = Claim("another thing", "looked at", ["this", "that"])
UNJUDGED = Claim("a third thing", "not for long enough", ["so far"], judged=False)


@pytest.fixture
def soak() -> Any:
    seen = SimpleNamespace(kinds=Counter(junk=3), answers=Counter({202: 2, 0: 1}), outcomes=Counter(dead_lettered=2))
    return SimpleNamespace(
        seed=7,
        poisoner=SimpleNamespace(seen=seen),
        auditor=SimpleNamespace(reasons=Counter(unreadable=2)),
        editor=SimpleNamespace(kinds=Counter(add=4)),
        faults=SimpleNamespace(done=[Fault(10, "a", "kill", 1.0)], recoveries=[(2.5, "kill a for 1.0 s")]),
        replicas={"a": SimpleNamespace(lives=2), "b": SimpleNamespace(lives=1)},
    )


def test_what_is_printed_has_each_claim_with_what_speaks_against_it(soak: Any) -> None:
    text = report(soak, facts(), [GOOD, BAD, UNJUDGED])
    assert "yes  one thing: seen" in text
    assert "NO   another thing: looked at\n       this\n       that" in text
    assert "not judged  a third thing" in text
    for words in ("1 x no answer, 2 x 202", "1 kill a", "after 2.5 s: kill a for 1.0 s", "a 2, b 1", "4 add"):
        assert words in text


def test_the_page_has_a_row_for_each_claim_and_lists_what_does_not_hold(soak: Any) -> None:
    page = told(soak, facts(), [GOOD, BAD], "2026-11-30T03:00+00:00")
    assert "`make soak SEED=7 MINUTES=60`" in page
    assert "| one thing | seen | yes |\n| another thing | looked at | **no** |\n" in page
    assert "What does not hold:\n\n- **another thing**: this\n- **another thing**: that\n" in page


def test_the_figures_count_the_claims_that_are_broken(soak: Any) -> None:
    found = {figure.name: figure for figure in figures(soak, facts(), [GOOD, BAD, UNJUDGED])}
    assert (found["soak_claims_broken"].value, found["soak_claims_broken"].met) == (1, False)
    assert found["soak_events"].value == 32
    assert (found["soak_memory_growth"].value, found["soak_memory_growth"].met) == (0.67, True)
    assert figures(soak, facts(), account(facts()))[0].met
