"""The trigger `freshness`: it fires when a model is too old, without other inputs, and retries with pauses."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.rules.outcome import Wake
from retrainer.rules.triggers.freshness import span
from tests.unit.rules.world import DATA, START, World, rule

FIRED = "fire stale"
DAY, HOUR = 86400.0, 3600.0


def fresh(**of: Any) -> dict[str, Any]:
    return {"stale": {"freshness": {"max_age": "14d", "jitter": "0s", **of}}}


def test_before_the_first_run_the_age_is_that_of_the_rule() -> None:
    world = World(rule(fresh()))
    assert world.wake() == [FIRED]
    assert world.now == START + 14 * DAY


@pytest.mark.parametrize(
    ("jitter", "share", "expected"),
    [
        pytest.param({"jitter": "10h"}, 0.5, 14 * DAY + 5 * HOUR, id="its share of the jitter"),
        pytest.param({"jitter": None}, 0.5, 14 * DAY + 0.7 * DAY, id="a tenth of max_age, if not given"),
    ],
)
def test_the_first_run_waits_for_jitter_and_later_ones_do_not(
    jitter: dict[str, Any], share: float, expected: float
) -> None:
    world = World(rule(fresh(**jitter)))
    world.state = world.state.but(share=share)
    assert world.after(1).give(Wake()) == []
    assert world.wake() == [FIRED]
    assert world.now == START + expected
    world.end()
    assert world.wake() == [FIRED]
    assert world.now == START + expected + 14 * DAY


def test_while_a_run_is_on_its_way_it_may_be_the_answer() -> None:
    world = World(rule({**fresh(), "new": DATA}, {"overlap": "allow_all"}))
    world.after(14 * DAY - 60).event()
    world.after(3600)
    assert world.give(Wake()) == []
    assert world.end() == []
    assert world.state.wake_at == world.now + 14 * DAY


@pytest.mark.parametrize("phase", ["FAILED", "ERROR", "CANCELLED", "UNKNOWN"])
def test_a_run_that_did_not_succeed_is_followed_by_another_only_after_again_after(phase: str) -> None:
    world = World(rule(fresh(min_retry_interval="2h")))
    for i in range(3):
        assert world.wake() == [FIRED]
        assert world.now == START + 14 * DAY + i * (600 + 2 * HOUR)
        assert world.after(600).end(phase) == []


def test_the_cooldown_counts_from_the_last_attempt() -> None:
    world = World(rule(fresh(min_retry_interval="1h"), {"cooldown": {"period": "6h"}}))
    world.wake()
    world.end("FAILED")
    assert world.wake() == ["hold cooldown"]
    assert world.wake() == [FIRED]
    assert world.now == START + 14 * DAY + 6 * HOUR


def test_of_promoted_looks_at_what_became_of_the_model() -> None:
    world = World(rule(fresh(of="promoted", min_retry_interval="1d")))
    world.wake()
    assert world.end("SUCCEEDED", promoted=False) == []
    assert world.wake() == [FIRED]
    assert world.now == START + 15 * DAY
    world.end("SUCCEEDED")
    world.after(60).judge(True)
    assert world.wake() == [FIRED]
    assert world.now == START + 15 * DAY + 60 + 14 * DAY


def test_of_succeeded_does_not_care_about_promotion() -> None:
    world = World(rule(fresh()))
    world.wake()
    world.end("SUCCEEDED", promoted=False)
    assert world.state.wake_at == world.now + 14 * DAY


IMPORTS: list[Any] = [
    pytest.param(START - 4 * DAY, START + 10 * DAY, id="still young: at its age"),
    pytest.param(START - 13.9 * DAY, START + 0.35 * DAY, id="nearly too old: at its share of the jitter"),
    pytest.param(START - 100 * DAY, START + 0.35 * DAY, id="long too old: at its share of the jitter"),
]


@pytest.mark.parametrize(("trained_at", "expected"), IMPORTS)
def test_an_imported_age_counts_and_is_spread(trained_at: float, expected: float) -> None:
    world = World(rule(fresh(jitter="16h48m")))  # 0.7 days
    world.state = world.state.but(share=0.5)
    assert world.tell_age(trained_at) == []
    assert world.wake() == [FIRED]
    assert world.now == pytest.approx(expected, abs=1)


def test_an_age_that_is_told_again_or_older_than_known_changes_nothing() -> None:
    world = World(rule(fresh(jitter="1d")))
    world.tell_age(START - 20 * DAY)
    before = world.state
    for trained_at in (START - 20 * DAY, START - 30 * DAY):
        world.after(60).tell_age(trained_at)
    assert world.state == before


def test_an_age_is_imported_for_what_was_promoted_as_well() -> None:
    world = World(rule(fresh(of="promoted")))
    world.tell_age(succeeded_at=START - DAY, promoted_at=START - 10 * DAY)
    assert world.wake() == [FIRED]
    assert world.now == START + 4 * DAY


def test_300_old_models_at_first_start_are_no_stampede() -> None:
    hours = []
    for i in range(300):
        world = World(rule({"stale": {"freshness": {"max_age": "10d"}}}, name=f"model-{i}"))
        if world.tell_age(START - 30 * DAY) != [FIRED]:
            assert world.wake() == [FIRED]
        hours.append(int((world.now - START) // HOUR))
    assert max(hours) < 24
    assert max(hours.count(hour) for hour in range(24)) <= 30


def test_what_a_deadline_gave_up_comes_back_by_itself() -> None:
    """A cooldown longer than the deadline must not stop a rule that has only an age trigger."""
    world = World(rule(fresh(min_retry_interval="1h"), {"cooldown": {"period": "12h"}, "deadline": "30m"}))
    world.wake()
    world.end("FAILED")
    decided = world.wake_until(world.now + 13 * HOUR)
    assert decided.count("skip deadline") > 1
    assert decided[-1] == FIRED


@pytest.mark.parametrize("of", ["succeeded", "promoted"])
def test_in_shadow_the_run_that_would_have_been_counts(of: str) -> None:
    world = World(rule(fresh(of=of), mode="shadow"))
    for run in (1, 2):
        assert world.wake() == ["fire shadow"]
        assert world.now == START + run * 14 * DAY


def test_the_due_rule_stays_due_even_if_somebody_says_it_was_young() -> None:
    world = World(rule(fresh(), {"pause_after_failures": 1}, paused=True))
    assert world.wake() == ["hold paused"]
    assert world.tell_age(START + 13 * DAY) == ["hold paused"]
    world.rule = rule(fresh())
    assert world.resume() == [FIRED]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0s"), (59, "59s"), (90, "1.5m"), (3600, "1h"), (86400 * 14, "14d"), (-7200, "-2h"), (0.2, "0s")],
)
def test_ages_are_told_in_their_largest_unit(seconds: float, told: str) -> None:
    assert span(seconds) == told
