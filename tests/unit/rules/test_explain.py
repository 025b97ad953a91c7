"""`explain` says at any moment why a rule fires or not, and when it could fire at the earliest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.rules.explain import explain
from tests.unit.rules.world import START, World, batch, rule

if TYPE_CHECKING:
    from collections.abc import Callable

HOURLY = {"n": {"schedule": {"cron": "0 * * * *"}}}
COOL = {"cooldown": {"period": "1h"}}


def ran(world: World) -> None:
    world.event()
    world.end()


def failed(world: World) -> None:
    world.event()
    world.end("FAILED")


def ran_and_due(world: World) -> None:
    ran(world)
    world.event()


CASES: list[Any] = [
    pytest.param(rule(), lambda w: None, "churn is idle (nothing is due)", None, id="nothing came"),
    pytest.param(
        rule(batch(at_least={"rows": 10}, max_wait="1h")),
        lambda w: w.event(rows=4),
        "churn is held: batch_incomplete (new: 4 of 10 rows so far); at the earliest 2027-01-15T09:00:00Z",
        START + 3600,
        id="not enough yet",
    ),
    pytest.param(
        rule(HOURLY),
        lambda w: None,
        "churn is idle (nothing is due); at the earliest 2027-01-15T09:00:00Z",
        START + 3600,
        id="the next slot",
    ),
    pytest.param(
        rule(limits=COOL),
        ran_and_due,
        "churn is held: cooldown (1h after a run has completed); at the earliest 2027-01-15T09:00:00Z",
        START + 3600,
        id="cooldown",
    ),
    pytest.param(
        rule(),
        lambda w: (w.event(), w.event()),
        "churn is held: overlap (1 active, overlap: buffer_one)",
        None,
        id="overlap ends when the run does, whenever that is",
    ),
    pytest.param(
        rule(paused=True),
        lambda w: None,
        "churn is held: paused (resume it with `retrainer resume churn`, or set mode: active)",
        None,
        id="paused, though nothing is due",
    ),
    pytest.param(
        rule(limits={"pause_after_failures": 1}),
        failed,
        "churn is held: circuit_open (1 failure in a row; `retrainer resume churn` closes it)",
        None,
        id="circuit breaker",
    ),
]


@pytest.mark.parametrize(("compiled", "before", "verdict", "earliest"), CASES)
def test_the_verdict_is_one_line_with_its_reason(
    compiled: Any, before: Callable[[World], Any], verdict: str, earliest: float | None
) -> None:
    world = World(compiled)
    before(world)
    told = explain(compiled, "", world.state, world.now)
    assert told["verdict"] == verdict
    assert told["earliest"] == earliest


UNTIL: list[Any] = [
    pytest.param(rule(batch(at_least={"rows": 10}, max_wait="1h")), lambda w: w.event(rows=4), 3600, id="max_wait"),
    pytest.param(rule(batch(debounce="10m")), lambda w: w.event(), 600, id="debounce"),
    pytest.param(rule(limits=COOL), ran_and_due, 3600, id="cooldown"),
    pytest.param(rule(), lambda w: (w.event(), w.event()), None, id="only the end of a run changes it"),
    pytest.param(rule(batch(at_least={"rows": 10})), lambda w: w.event(rows=4), None, id="only data changes it"),
    pytest.param(
        rule({**batch(), "more": batch(max_wait="2h")["new"]}, when={"all": ["new", "more"]}),
        lambda w: w.event(triggers=("new", "more")),
        7200,
        id="missing_trigger",
    ),
]


@pytest.mark.parametrize(("compiled", "before", "after"), UNTIL)
def test_until_is_that_of_the_decision(compiled: Any, before: Callable[[World], Any], after: float | None) -> None:
    world = World(compiled)
    before(world)
    until = explain(compiled, "", world.state, world.now)["until"]
    assert until == world.decisions[-1].until == (None if after is None else START + after)


def test_it_says_what_the_engine_then_does() -> None:
    world = World(rule(batch(debounce="10m"), COOL))
    world.event()
    world.wake()
    world.end()
    world.event()
    earliest = explain(world.rule, "", world.state, world.now)["earliest"]
    assert [world.wake(), world.wake()] == [["hold cooldown"], ["fire batch_complete"]]
    assert world.now == earliest


def test_the_tree_holds_live_values() -> None:
    world = World(rule(batch(at_least={"rows": 10}), {**COOL, "pool": "gpu", "priority": 3}))
    world.event(size=7, rows=4)
    triggers, limits = explain(world.rule, "", world.state, world.now)["tree"]
    (new,) = triggers["children"]
    assert {child["name"]: child["state"] for child in new["children"]} == {"events": "1", "bytes": "7", "rows": "4"}
    assert [child["name"] for child in limits["children"]] == ["mode", "overlap", "cooldown", "pool"]
