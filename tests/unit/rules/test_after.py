"""The trigger `after`: the end of an upstream run is kept until a run takes it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.world import DATA, START, World, rule

AFTER: dict[str, Any] = {"rebuilt": {"after": {"rule": "features"}}}
FIRED = "fire upstream"


def test_the_end_of_an_upstream_run_starts_one_run_that_names_it() -> None:
    world = World(rule(AFTER))
    assert world.follow("features-1") == [FIRED]
    assert world.births[0].upstream == "features-1"
    assert world.end() == []
    assert world.follow("features-2") == [FIRED]


HELD: list[Any] = [
    pytest.param({"cooldown": {"period": "1h"}}, "hold cooldown", id="cooldown"),
    pytest.param({"overlap": "buffer_one"}, "hold overlap", id="buffer_one"),
    pytest.param({"overlap": "skip"}, "skip overlap", id="skip"),
]


@pytest.mark.parametrize(("limits", "held"), HELD)
def test_it_is_kept_while_it_is_held_and_the_newest_is_answered(limits: dict[str, Any], held: str) -> None:
    world = World(rule(AFTER, limits))
    world.follow("features-1")
    if "cooldown" in limits:
        world.end()
    assert world.follow("features-2") == [held]
    assert world.follow("features-3") == [held]
    decided = world.wake() if "cooldown" in limits else world.end()
    assert decided == [FIRED]
    assert world.births[-1].upstream == "features-3"


def test_any_run_takes_it_whatever_started_that_one() -> None:
    world = World(rule({**AFTER, "new": DATA}, paused=True))
    world.follow("features-1")
    world.event()
    world.rule = rule({**AFTER, "new": DATA})
    world.resume()
    assert world.births[0].triggers == ("new", "rebuilt")
    assert world.births[0].upstream == "features-1"
    assert world.end() == []


@pytest.mark.parametrize("phase", ["FAILED", "CANCELLED"])
def test_a_run_that_failed_has_taken_it_all_the_same(phase: str) -> None:
    world = World(rule(AFTER))
    world.follow()
    assert world.end(phase) == []
    assert world.state.wake_at is None


def test_a_deadline_gives_it_up() -> None:
    world = World(rule(AFTER, {"deadline": "1h"}, paused=True))
    world.follow()
    assert world.wake() == ["skip deadline"]
    assert world.now == START + 3600
    world.rule = rule(AFTER)
    assert world.resume() == []


def test_two_upstreams_are_two_triggers() -> None:
    triggers = {**AFTER, "labelled": {"after": {"rule": "labels"}}}
    world = World(rule(triggers, when={"all": ["rebuilt", "labelled"]}))
    assert world.follow("features-1", "rebuilt") == []
    assert world.follow("features-2", "rebuilt") == []
    assert world.after(60).follow("labels-1", "labelled") == [FIRED]
    assert world.births[0].triggers == ("rebuilt", "labelled")
    assert world.births[0].upstream == "labels-1"
    assert world.end() == []
