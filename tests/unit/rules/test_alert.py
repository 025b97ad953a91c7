"""The trigger `alert`: satisfied while the alert fires, for single, repeated, late and flapping reports."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rules.world import START, World, rule

FIRED, NOTHING, PENDING, QUIET = "fire alert", "hold below_threshold", "hold for_pending", "hold quiet"


def alert(**of: Any) -> dict[str, Any]:
    return {"page": {"alert": {"source": "alerts", "match": {"alertname": "ModelDrift"}, **of}}}


def test_a_firing_alert_starts_a_run_and_its_repetitions_start_none() -> None:
    world = World(rule(alert()))
    assert world.alert(True, START) == [FIRED]
    assert world.births[0].values == {"page": 1.0}
    assert world.after(3600).alert(True, START) == [QUIET]
    world.end()
    assert world.after(3600).alert(True, START) == [QUIET]


def test_one_that_goes_on_firing_starts_another_run_after_repeat_interval() -> None:
    world = World(rule(alert(repeat_interval="12h")))
    world.alert(True, START)
    world.after(3600).end()
    assert world.wake() == [FIRED]
    assert world.now == START + 3600 + 12 * 3600


def test_resolved_and_firing_again_is_a_new_alert() -> None:
    world = World(rule(alert()))
    world.alert(True, START)
    world.end()
    assert world.alert(False, START + 60) == [NOTHING]
    assert world.alert(True, START + 120) == [FIRED]


@pytest.mark.parametrize("ahead", [pytest.param(0, id="clocks agree"), pytest.param(100, id="its clock is ahead")])
def test_the_end_of_an_older_start_ends_nothing(ahead: float) -> None:
    """An old end does not end a newer start. Reports may be reordered, or doubled by a pair of Alertmanagers."""
    world = World(rule(alert()))
    world.after(120 - ahead).alert(True, START + 120)
    world.end()
    assert world.after(60).alert(False, START + 60) == [QUIET]
    assert world.alert(True, START) == [QUIET]


def test_a_start_that_arrives_after_its_own_end_starts_nothing() -> None:
    world = World(rule(alert()))
    world.after(60)
    assert world.alert(False, START + 30) == [NOTHING]
    assert world.alert(True, START) == [NOTHING]


def test_each_fingerprint_is_followed_by_itself() -> None:
    world = World(rule(alert()))
    assert world.alert(True, START, "one") == [FIRED]
    world.end()
    assert world.alert(True, START, "two") == [QUIET]
    assert world.alert(False, START + 1, "one") == [QUIET]
    assert world.alert(False, START + 1, "two") == [NOTHING]


def test_an_alert_that_flaps_is_held_by_the_cooldown_and_runs_once_after_it() -> None:
    world = World(rule(alert(), {"cooldown": {"period": "6h"}}))
    world.alert(True, START)
    world.end()
    for i in range(1, 101):
        world.after(60).alert(i % 2 == 0, START + i * 60)
    assert world.births == []
    assert world.wake_until(START + 86400) == [FIRED]
    assert world.births[0].triggers == ("page",)


def test_for_waits_beyond_what_alertmanager_waited() -> None:
    world = World(rule(alert(**{"for": "15m"})))
    assert world.alert(True, START) == [PENDING]
    assert world.wake() == [FIRED]
    assert world.now == START + 900


@pytest.mark.parametrize("resolved_after", [1, 899])
def test_one_that_ends_within_for_starts_nothing(resolved_after: float) -> None:
    world = World(rule(alert(**{"for": "15m"})))
    world.alert(True, START)
    assert world.after(resolved_after).alert(False, world.now) == [NOTHING]
    assert world.state.wake_at is None
