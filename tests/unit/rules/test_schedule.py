"""The trigger `schedule`: each slot has exactly one record, whatever happens between slots."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.config.models import Calendar, Rule
from retrainer.rules.compile import compile_rule
from retrainer.rules.outcome import Wake
from tests.unit.rules.world import START, World, rule

HOUR = 3600.0
HOURLY: dict[str, Any] = {"schedule": {"cron": "0 * * * *"}}


def hourly(**more: Any) -> dict[str, Any]:
    return {"n": {"schedule": {"cron": "0 * * * *", **more}}}


def slots(world: World) -> list[tuple[float, float, int, str, str]]:
    """The records as hours since the start: from, until, count, outcome, reason."""
    return [
        ((r.slot - START) / HOUR, (r.until - START) / HOUR, r.count, r.outcome, r.reason.value) for r in world.slots
    ]


def test_each_slot_fires_once_and_carries_its_own_time() -> None:
    world = World(rule(hourly()))
    for hour in (1, 2):
        assert world.wake() == ["fire schedule"]
        assert world.births[0].scheduled_at == START + hour * HOUR
        world.after(60).end()
    assert slots(world) == [(1, 1, 1, "fired", "schedule"), (2, 2, 1, "fired", "schedule")]


def test_nothing_before_the_rule_existed_is_caught_up() -> None:
    world = World(rule(hourly(recover_missed="all")), START + 1800)
    assert world.give(Wake()) == []
    assert world.state.wake_at == START + HOUR


DOWN = [
    pytest.param(
        "last", "12h", ["fire schedule"], [(1, 4, 4, "missed", "missed"), (5, 5, 1, "fired", "schedule")], id="last"
    ),
    pytest.param("none", "12h", [], [(1, 5, 5, "missed", "missed")], id="none"),
    pytest.param(
        "all",
        "2h",
        ["fire schedule"] * 2,
        [(1, 3, 3, "missed", "missed"), (4, 4, 1, "fired", "schedule"), (5, 5, 1, "fired", "schedule")],
        id="all, within the window",
    ),
    pytest.param("last", "10m", [], [(1, 5, 5, "missed", "missed")], id="last, but too long ago"),
]


@pytest.mark.parametrize(("policy", "window", "decisions", "records"), DOWN)
def test_after_five_hours_down(
    policy: str, window: str, decisions: list[str], records: list[tuple[float, float, int, str, str]]
) -> None:
    world = World(rule(hourly(recover_missed=policy, catchup_window=window), {"overlap": "allow_all"}))
    assert world.after(5.5 * HOUR).give(Wake()) == decisions
    assert sorted(slots(world)) == records
    assert world.state.wake_at == START + 6 * HOUR


def test_under_overlap_skip_a_slot_is_skipped_and_under_buffer_one_it_waits() -> None:
    skip, wait = World(rule(hourly(), {"overlap": "skip"})), World(rule(hourly()))
    for world in (skip, wait):
        world.wake()
    assert skip.wake() == ["skip overlap"]
    assert skip.end() == []
    assert slots(skip)[-1] == (2, 2, 1, "skipped", "overlap")
    assert [wait.wake(), wait.wake()] == [["hold overlap"]] * 2
    assert wait.end() == ["fire schedule"]
    assert sorted(slots(wait)) == [
        (1, 1, 1, "fired", "schedule"),
        (2, 2, 1, "skipped", "superseded"),
        (3, 3, 1, "fired", "schedule"),
    ]


def test_recover_all_runs_one_after_the_other_without_overlap() -> None:
    world = World(rule(hourly(recover_missed="all")))
    assert world.after(3.5 * HOUR).give(Wake()) == ["fire schedule", "hold overlap"]
    assert world.end() == ["fire schedule", "hold overlap"]
    assert world.end() == ["fire schedule"]
    assert [r[0] for r in slots(world)] == [1, 2, 3]


def test_an_excepted_slot_is_skipped_with_that_reason() -> None:
    body = {"name": "a", "triggers": hourly(**{"except": ["off"]}), "submit": {"workflow_template": "t"}}
    off = Calendar(times=["09:00-10:00"])
    world = World(compile_rule(Rule.model_validate(body), "r1", {"off": off}))
    assert [world.wake(), world.wake()] == [[], ["fire schedule"]]
    assert slots(world) == [(1, 1, 1, "skipped", "calendar"), (2, 2, 1, "fired", "schedule")]


def test_jitter_delays_the_run_but_not_the_slot() -> None:
    world = World(rule(hourly(jitter="10m")))
    world.wake()
    assert START + HOUR < world.now < START + HOUR + 600
    assert world.births[0].scheduled_at == START + HOUR
    world.end()
    again = World(rule(hourly(jitter="10m")))
    again.wake()
    assert again.now == world.now


def test_deadline_settles_the_slot() -> None:
    world = World(rule({**hourly(), "new": {"data": {"source": "push"}}}, {"deadline": "10m"}))
    world.event()
    world.wake()
    assert world.wake() == ["skip deadline"]
    assert slots(world) == [(1, 1, 1, "skipped", "deadline")]


@pytest.mark.parametrize("cut", [1, 7, 60])
def test_looking_often_or_seldom_gives_each_slot_one_record(cut: int) -> None:
    """Whatever the intervals between wake-ups, the records cover each of the 48 slots once."""
    world = World(rule(hourly(), {"overlap": "allow_all"}))
    end = START + 48 * HOUR
    while world.now < end:
        world.after(min(cut * 1800, end - world.now)).give(Wake())
    assert sum(r.count for r in world.slots) == 48
    assert len({r.slot for r in world.slots}) == len(world.slots)
