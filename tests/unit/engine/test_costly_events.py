"""Rules share a limit for one event: expensive conditions stop within a second, and cheap rules still evaluate it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.rules.expression import OF_AN_EVENT
from tests.houses.engine import DrivenEngine

from .kit import START, SUBMIT, event

if TYPE_CHECKING:
    from pathlib import Path

COSTLY = "event.data.xs.exists(x, event.data.xs.exists(y, x + y == -1))"
XS = list(range(1500))
MANY = 60


def asking(name: str, **data: Any) -> dict[str, Any]:
    return {"name": name, "triggers": {"d": {"data": {"source": "push", **data}}}, "submit": SUBMIT}


def measuring(name: str, value: str) -> dict[str, Any]:
    metric = {"source": "push", "above": 5, "jitter": "0s", "value": value}
    return {"name": name, "triggers": {"m": {"metric": metric}}, "submit": SUBMIT}


RULES = {
    "where": [asking(f"a{i}", where=COSTLY) for i in range(MANY)],
    "rows": [asking(f"a{i}", rows=f"{COSTLY} ? 1 : 2") for i in range(MANY)],
    "distinct_by": [asking(f"a{i}", distinct_by=f"{COSTLY} ? 'x' : 'y'") for i in range(MANY)],
    "value": [measuring(f"a{i}", f"{COSTLY} ? 1 : 9") for i in range(MANY)],
}


@pytest.mark.parametrize("costly", RULES.values(), ids=RULES)
def test_rules_that_ask_too_much_of_one_event_share_a_second(tmp_path: Path, costly: list[dict[str, Any]]) -> None:
    cheap = asking("z", where="event.data.good == true")
    bench = DrivenEngine(tmp_path / "s.db", [*costly, cheap], START)
    began = time.thread_time()
    bench.deliver([event(0, xs=XS, good=True)])
    assert time.thread_time() - began < 6  # on any machine; without the shared limit it takes ten times as long
    assert {row.rule for row in bench.query("SELECT rule FROM runs")} == {"z"}
    letters = [row.error for row in bench.query("SELECT error FROM dead_letters ORDER BY id")]
    assert len(letters) == MANY
    assert any("more than 300000 steps" in error for error in letters)
    assert f"the rules before it took {OF_AN_EVENT} steps of this event" in letters[-1]
    bench.deliver([event(1, xs=[1], good=True)])
    assert len(bench.query("SELECT id FROM dead_letters")) == MANY, "the next event has steps of its own"
