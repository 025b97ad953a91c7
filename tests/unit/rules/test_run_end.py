"""Times that count from the end of a run use its end, not the time when the end was observed."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.rules.outcome import Ended
from retrainer.runs.run import RunPhase
from tests.unit.rules.world import START, World, rule

HOUR = 3600.0
LATE = 600.0


def end(world: World, phase: str = "SUCCEEDED", at: float | None = None, **more: Any) -> list[str]:
    new_run = world.births.pop(0)
    given = Ended(
        "run", RunPhase(phase), 1, False, new_run.window, new_run.taken, triggers=new_run.triggers, at=at, **more
    )
    return world.give(given)


@pytest.mark.parametrize("start_from", ["completed", "succeeded"])
def test_a_cooldown_counts_from_the_end(start_from: str) -> None:
    world = World(rule(limits={"cooldown": {"period": "1h", "from": start_from}}))
    world.event()
    end(world.after(LATE), at=START + 2)
    assert world.event() == ["hold cooldown"]
    assert world.state.wake_at == START + 2 + HOUR


def test_a_model_ages_from_the_end_of_its_run() -> None:
    world = World(rule({"old": {"freshness": {"max_age": "1d", "jitter": "0s"}}}))
    world.wake_until(START + 86400)
    assert world.births
    end(world.after(LATE), at=START + 86402)
    assert world.state.wake_at == START + 2 * 86400 + 2


@pytest.mark.parametrize(
    ("late", "due"),
    [
        pytest.param(10.0, 62.0, id="what is left of the pause"),
        pytest.param(600.0, 600.0, id="at once, where it is over"),
    ],
)
def test_the_pause_before_another_attempt_counts_from_the_end(late: float, due: float) -> None:
    world = World(rule(submit={"retry": {"limit": 2}}))
    world.event()
    end(world.after(late), "FAILED", at=START + 2)
    assert world.births[0].not_before == START + due


def test_runs_that_overlap_may_be_seen_in_another_order_than_they_ended_in() -> None:
    world = World(rule(limits={"overlap": "allow_all", "max_active": 2}))
    world.event()
    world.event()
    end(world.after(60), at=START + 50, promoted=True)
    end(world.after(60), at=START + 20, promoted=True)
    known = world.state
    assert (known.last_completed, known.last_succeeded, known.last_promoted) == (START + 50,) * 3


def test_an_end_is_never_later_than_when_it_was_seen() -> None:
    world = World(rule())
    world.event()
    end(world.after(10), at=START + HOUR)
    assert world.state.last_completed == START + 10
