"""`when`, `unless` and `deadline` in scenarios of a whole rule."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.rules.outcome import SlotDue
from tests.unit.rules.world import DATA, START, World, batch, metric, rule

HOUR, DAY = 3600.0, 86400.0
NIGHTLY: dict[str, Any] = {"nightly": {"schedule": {"cron": "0 12 * * *"}}}  # first due at START + 4 h
NOON = START + 4 * HOUR
MISSING = "hold missing_trigger"


def outcomes(world: World) -> list[tuple[float, str, str]]:
    return [(slot.slot, slot.outcome, slot.reason.value) for slot in world.slots]


def test_data_and_drift_are_both_needed() -> None:
    world = World(rule({"new": DATA, **metric()}, when={"all": ["new", "drift"]}))
    assert world.event() == [MISSING]
    assert world.poll(0.1) == [MISSING]
    assert world.poll(0.3) == ["fire batch_complete"]
    assert world.births[0].triggers == ("new", "drift")
    assert world.births[0].values == {"drift": 0.3}


def test_a_run_that_a_metric_did_not_need_is_its_answer_too() -> None:
    world = World(rule({"new": DATA, **metric()}, when={"any": ["new", {"all": ["new", "drift"]}]}))
    world.poll(0.3)
    assert world.event() == ["fire batch_complete"]
    world.end()
    assert world.event() == ["fire batch_complete"]
    assert world.births[0].triggers == ("new",)


def test_a_trigger_that_is_satisfied_no_longer_is_missing_again() -> None:
    world = World(rule({"new": DATA, **metric()}, when={"all": ["new", "drift"]}))
    world.poll(0.3)
    world.poll(0.1)
    assert world.event() == [MISSING]


def test_at_least_two_of_three() -> None:
    triggers = {"new": DATA, **metric(), "rebuilt": {"after": {"rule": "features"}}}
    world = World(rule(triggers, when={"at_least": {"n": 2, "of": ["new", "drift", "rebuilt"]}}))
    assert world.poll(0.3) == [MISSING]
    assert world.follow() == ["fire threshold"]
    assert world.births[0].triggers == ("drift", "rebuilt")


WITHIN: dict[str, Any] = {"all": ["new", "drift"], "within": "1h"}


def test_within_data_counts_only_so_long_and_is_renewed_by_what_comes() -> None:
    world = World(rule({"new": DATA, **metric()}, when=WITHIN))
    world.event()
    assert world.after(HOUR).poll(0.3) == [MISSING]
    world.poll(0.1)
    assert world.event() == [MISSING]
    assert world.after(HOUR - 1).poll(0.3) == ["fire batch_complete"]
    assert world.births[0].window.events == 2  # an input that no longer satisfied its trigger was not lost


def test_within_a_metric_counts_as_long_as_it_lasts() -> None:
    world = World(rule({"new": DATA, **metric()}, when=WITHIN))
    world.poll(0.3)
    assert world.after(30 * DAY).event() == ["fire batch_complete"]


def test_within_an_end_of_an_upstream_run_is_renewed_by_the_next() -> None:
    triggers = {"rebuilt": {"after": {"rule": "features"}}, **metric()}
    world = World(rule(triggers, when={"all": ["rebuilt", "drift"], "within": "1h"}))
    world.follow("features-1")
    world.after(HOUR - 1).follow("features-2")
    assert world.after(HOUR - 1).poll(0.3) == ["fire threshold"]
    assert world.births[0].upstream == "features-2"


GATED: dict[str, Any] = {**NIGHTLY, **metric()}


def test_a_slot_that_counts_no_longer_is_recorded_as_skipped() -> None:
    world = World(rule(GATED, when={"all": ["nightly", "drift"], "within": "2h"}))
    assert world.wake_until(NOON + 3 * HOUR) == []
    assert outcomes(world) == [(NOON, "skipped", "missing_trigger")]
    assert world.poll(0.3) == ["hold missing_trigger"]
    world.wake()
    assert outcomes(world)[1:] == [(NOON + DAY, "fired", "schedule")]


@pytest.mark.parametrize("within", ["24h", "36h"])
def test_a_slot_counts_from_itself_and_not_from_the_one_before(within: str) -> None:
    world = World(rule(GATED, when={"all": ["nightly", "drift"], "within": within}))
    world.wake_until(NOON + DAY + 23 * HOUR)
    assert outcomes(world) == [(NOON, "skipped", "superseded")]
    assert world.poll(0.3) == ["fire schedule"]
    assert outcomes(world)[1:] == [(NOON + DAY, "fired", "schedule")]


def test_a_slot_that_is_spoken_for_a_key_counts_from_itself_as_well() -> None:
    world = World(rule(GATED, when={"all": ["nightly", "drift"], "within": "24h"}))
    world.wake_until(NOON)
    world.after(23 * HOUR)
    world.give(SlotDue("nightly", world.now))
    assert world.after(23 * HOUR).poll(0.3) == ["fire schedule"]


def test_without_within_a_slot_waits_for_ever() -> None:
    world = World(rule(GATED, when={"all": ["nightly", "drift"]}))
    world.wake_until(NOON + 12 * HOUR)
    assert world.poll(0.3) == ["fire schedule"]
    assert world.births[0].scheduled_at == NOON


def test_a_slot_that_expired_behind_another_that_was_held_has_its_record() -> None:
    """Both slots waited for the cooldown. The run takes the first, and the second has expired."""
    twice = {"nightly": {"schedule": {"cron": "0 9,10 * * *", "recover_missed": "all"}}, **metric()}
    when = {"all": ["nightly", "drift"], "within": "3h"}
    world = World(rule(twice, {"cooldown": {"period": "12h"}}, when=when))
    world.manual()
    world.end()
    world.poll(0.3)
    assert world.wake_until(START + 12 * HOUR)[-1] == "fire schedule"
    assert outcomes(world) == [
        (START + HOUR, "fired", "schedule"),
        (START + 2 * HOUR, "skipped", "missing_trigger"),
    ]


def test_a_held_slot_does_not_expire() -> None:
    world = World(rule(GATED, {"cooldown": {"period": "12h"}}, when={"all": ["nightly", "drift"], "within": "1h"}))
    world.manual()
    world.end()
    world.poll(0.3)
    assert world.wake_until(NOON) == ["hold cooldown"]
    decided = world.wake_until(START + 12 * HOUR)
    assert decided[-1] == "fire schedule"
    assert outcomes(world) == [(NOON, "fired", "schedule")]


def test_due_stays_due_though_a_limit_holds_it_and_the_reason_is_kept() -> None:
    world = World(rule({"new": DATA, **metric()}, {"cooldown": {"period": "6h"}}, when={"all": ["new", "drift"]}))
    world.poll(0.3)
    world.event()
    world.end()
    world.poll(0.1)
    world.event()
    assert world.poll(0.3) == ["hold cooldown"]
    assert world.poll(0.1) == ["hold cooldown"]
    assert world.wake_until(START + 6 * HOUR) == ["fire batch_complete"]
    assert world.births[0].triggers == ("new", "drift")


@pytest.mark.parametrize("since", ["cleared", "high"])
def test_a_deadline_gives_up_and_a_raised_metric_becomes_quiet(since: str) -> None:
    world = World(rule(metric(repeat_interval="1d"), {"deadline": "1h"}, paused=True))
    assert world.poll(0.3) == ["hold paused"]
    if since == "cleared":
        world.poll(0.1)
    assert world.wake() == ["skip deadline"]
    assert world.now == START + HOUR
    world.rule = rule(metric(repeat_interval="1d"))
    assert world.resume() == []
    if since == "cleared":
        assert world.poll(0.3) == ["fire threshold"]
    else:
        assert world.poll(0.3) == ["hold quiet"]
        assert world.wake() == ["fire threshold"]
        assert world.now == START + HOUR + DAY


def test_a_deadline_settles_the_slots_and_keeps_the_data() -> None:
    world = World(rule({**NIGHTLY, **batch(at_least={"events": 2})}, {"deadline": "1h"}, paused=True))
    world.event()
    world.wake_until(NOON + HOUR)
    assert outcomes(world) == [(NOON, "skipped", "deadline")]
    assert world.state.window.events == 1


def test_unless_holds_a_due_rule_back_and_never_starts_it() -> None:
    incident = {"incident": {"alert": {"source": "alerts", "match": {"alertname": "DataIncident"}}}}
    world = World(rule({"new": DATA, **incident}, unless=["incident"]))
    assert world.alert(True, START, trigger="incident") == ["hold waiting"]
    assert world.event() == ["hold inhibited"]
    assert world.manual() == ["fire manual"]  # a manual run ignores `unless`
    world.end("FAILED")
    assert world.after(60).event() == ["hold inhibited"]
    assert world.alert(False, world.now, trigger="incident") == ["fire batch_complete"]
    assert world.births[0].triggers == ("new",)


def test_what_inhibits_is_never_answered_by_a_run() -> None:
    incident = {"incident": {"metric": {"source": "prometheus", "expr": "bad", "above": 0, "jitter": "0s"}}}
    world = World(rule({"new": DATA, **incident}, unless=["incident"]))
    world.poll(1, "incident")
    world.manual()
    world.end()
    assert world.event() == ["hold inhibited"]


def test_unless_ends_the_moment_for_or_staleness_says() -> None:
    incident = {"incident": {"metric": {"source": "p", "expr": "bad", "above": 0, "jitter": "0s", "no_data": "ok",
                                        "max_sample_age": "1h"}}}  # fmt: skip
    world = World(rule({"new": DATA, **incident}, unless=["incident"]))
    world.poll(1, "incident")
    assert world.event() == ["hold inhibited"]
    assert world.wake() == ["fire batch_complete"]
    assert world.now == pytest.approx(START + HOUR, abs=1)
