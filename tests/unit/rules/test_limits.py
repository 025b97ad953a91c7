"""Limits of a due rule: calendars, budgets, a cooldown with backoff, and the limits of manual runs."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.config.models import Calendar
from retrainer.config.models import Rule as Model
from retrainer.rules.compile import CompiledRule, compile_rule
from retrainer.rules.cooldown import rest_for
from retrainer.rules.limits import RemainingBudget
from retrainer.rules.outcome import Wake
from tests.unit.rules.world import DATA, START, World, rule

COMPLETE = "fire batch_complete"
HOUR, DAY = 3600.0, 86400.0
CALENDARS = {
    "morning": {"times": ["06:00-10:00"]},
    "late_morning": {"times": ["09:00-12:00"]},
    "noon": {"times": ["12:00-13:00"]},
    "fridays": {"weekdays": ["fri"]},
    "always": {"times": ["00:00-24:00"]},
    "afternoon": {"times": ["14:00-18:00"]},
    "day": {"times": ["06:00-18:00"]},
    "night": {"times": ["18:00-06:00"]},
}
"""START is a Friday, 08:00 UTC."""


def muted(*names: str, **more: Any) -> CompiledRule:
    body = {
        "name": "churn",
        "triggers": {"new": DATA},
        "limits": {"mute": list(names), **more},
        "submit": {"workflow_template": "train"},
    }
    calendars = {name: Calendar.model_validate(of) for name, of in CALENDARS.items()}
    return compile_rule(Model.model_validate(body), "r1", calendars)


MUTES: list[Any] = [
    pytest.param(("afternoon",), None, id="not on"),
    pytest.param(("morning",), 2 * HOUR, id="until it ends"),
    pytest.param(("morning", "late_morning"), 4 * HOUR, id="two that overlap: until the last ends"),
    pytest.param(("morning", "late_morning", "noon"), 5 * HOUR, id="and one that begins as they end"),
    pytest.param(("fridays", "morning"), 16 * HOUR, id="a day around another"),
    pytest.param(("afternoon", "morning"), 2 * HOUR, id="a gap is enough"),
]


@pytest.mark.parametrize(("names", "until"), MUTES)
def test_mute_holds_until_no_calendar_is_on(names: tuple[str, ...], until: float | None) -> None:
    world = World(muted(*names))
    if until is None:
        assert world.event() == [COMPLETE]
        return
    assert world.event() == ["hold muted"]
    assert world.state.wake_at == START + until
    assert world.wake() == [COMPLETE]


@pytest.mark.parametrize(
    "names", [pytest.param(("always",), id="one"), pytest.param(("day", "night"), id="two that take turns")]
)
def test_a_calendar_without_an_end_holds_without_a_moment(names: tuple[str, ...]) -> None:
    world = World(muted(*names))
    assert world.event() == ["hold muted"]
    assert world.state.wake_at is None
    assert world.manual() == ["fire manual"]


def test_what_comes_while_it_is_muted_joins_one_run() -> None:
    world = World(muted("morning"))
    for _ in range(5):
        assert world.event() == ["hold muted"]
    world.wake()
    assert world.births[0].window.events == 5


def test_a_budget_holds_until_it_leaves_more() -> None:
    world = World(rule())
    world.remaining_budget = RemainingBudget(0, "3 of 3 runs in 24 h", START + HOUR)
    assert world.event() == ["hold budget"]
    assert world.state.wake_at == START + HOUR
    world.remaining_budget = RemainingBudget(1, "2 of 3 runs in 24 h")
    assert world.wake() == [COMPLETE]


def test_a_step_that_starts_several_runs_spends_each() -> None:
    """With allow_all, missed slots run one after the other, up to the remaining budget."""
    every = {"nightly": {"schedule": {"cron": "0 * * * *", "recover_missed": "all"}}}
    world = World(rule(every, {"overlap": "allow_all"}))
    world.remaining_budget = RemainingBudget(2, "8 of 10 runs in 24 h", START + DAY)
    world.now = START + 5 * HOUR
    assert world.give(Wake()) == ["fire schedule", "fire schedule", "hold budget"]
    assert len(world.births) == 2


def test_a_retry_is_a_run_that_the_budget_counts() -> None:
    world = World(rule(limits={"overlap": "allow_all"}, submit={"retry": {"limit": 1}}))
    world.event()
    world.remaining_budget = RemainingBudget(0, "3 of 3 runs")
    assert world.event() == ["hold budget"]
    world.remaining_budget = RemainingBudget(1, "2 of 3 runs")
    assert world.end("FAILED") == ["fire retry", "hold budget"]


def test_what_somebody_asks_for_by_hand_heeds_overlap_and_budget_alone() -> None:
    world = World(muted("always", cooldown={"period": "7d"}, pause_after_failures=1))
    assert world.manual() == ["fire manual"]
    assert world.manual() == ["hold overlap"]
    assert world.end("FAILED") == ["fire manual"]
    world.end()
    world.remaining_budget = RemainingBudget(0, "spent", START + HOUR)
    assert world.manual() == ["hold budget"]
    world.remaining_budget = RemainingBudget(1, "left")
    assert world.wake() == ["fire manual"]


PATIENT = {"cooldown": {"period": "1h"}}


def stretched(**backoff: Any) -> CompiledRule:
    return rule(limits=PATIENT, feedback={"backoff": backoff})


def test_each_run_that_is_not_promoted_stretches_the_cooldown_and_a_promotion_ends_that() -> None:
    world = World(stretched(factor=3, max="12h"))
    rests = []
    for promoted in (True, False, False, False, True, False):
        world.event()
        world.wake_until(world.state.wake_at or world.now)
        world.end(promoted=promoted)
        assert world.event() == ["hold cooldown"]
        assert world.state.wake_at is not None
        rests.append((world.state.wake_at - world.now) / HOUR)
    assert rests == [1, 3, 9, 12, 1, 3]


def test_feedback_that_comes_later_stretches_or_ends_a_rest_that_has_begun() -> None:
    world = World(stretched(factor=2))
    world.event()
    world.end()
    assert world.judge(False) == []
    assert world.event() == ["hold cooldown"]
    assert world.state.wake_at == START + 2 * HOUR
    assert world.after(HOUR).judge(True) == [COMPLETE]


def test_a_failed_run_is_neither_promoted_nor_not() -> None:
    world = World(stretched(factor=2))
    world.event()
    world.end("FAILED")
    assert world.state.unpromoted == 0


@pytest.mark.parametrize(
    ("backoff", "unpromoted", "hours"),
    [
        pytest.param({"factor": 2, "max": "10h"}, 0, 1, id="none"),
        pytest.param({"factor": 2, "max": "10h"}, 3, 8, id="three"),
        pytest.param({"factor": 2, "max": "10h"}, 4, 10, id="up to max"),
        pytest.param({"factor": 2, "max": "10h"}, 5000, 10, id="for years"),
        pytest.param({"factor": 1000, "max": "10h"}, 5000, 10, id="beyond what a number can hold"),
        pytest.param({"factor": 1}, 7, 1, id="factor one"),
        pytest.param({"factor": 2, "max": "10m"}, 3, 1, id="max below the period never shortens it"),
    ],
)
def test_a_rest_is_never_longer_than_max(backoff: dict[str, Any], unpromoted: int, hours: float) -> None:
    compiled = stretched(**backoff)
    assert rest_for(compiled, World(compiled).state.but(unpromoted=unpromoted)) == hours * HOUR


def test_without_backoff_nothing_is_stretched() -> None:
    world = World(rule(limits=PATIENT, feedback={"promoted": "outputs.promoted"}))
    assert rest_for(world.rule, world.state.but(unpromoted=9)) == HOUR


ORDER: list[Any] = [
    pytest.param({"paused": True}, "hold paused", id="paused before all"),
    pytest.param({"broken": True}, "hold circuit_open", id="then the circuit breaker"),
    pytest.param({"active": 1}, "hold overlap", id="then the overlap"),
    pytest.param({"last_completed": START}, "hold cooldown", id="then the cooldown"),
    pytest.param({}, "hold budget", id="and the budget last"),
]


@pytest.mark.parametrize(("how", "expected"), ORDER)
def test_the_first_limit_that_says_no_is_named(how: dict[str, Any], expected: str) -> None:
    paused = how.pop("paused", False)
    world = World(rule(limits=PATIENT, paused=paused))
    world.state = world.state.but(**how)
    world.remaining_budget = RemainingBudget(0, "spent")
    assert world.event() == [expected]
