"""The trigger `metric`: each row is a sequence of polls, minutes apart, with the expected decision of each."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.rules.outcome import Sample, Wake
from retrainer.rules.threshold_state import Series, ThresholdState
from retrainer.rules.triggers import level
from retrainer.rules.triggers.level import MAX_SERIES, Threshold
from tests.unit.rules.world import START, World, metric, rule

FIRED, BELOW, PENDING = "fire threshold", "hold below_threshold", "hold for_pending"
QUIET, NO_DATA, OVERLAP = "hold quiet", "hold no_data", "hold overlap"
MINUTE = 60.0
DOWN = "down"
Told = dict[str, float | None] | float | None | str


def told(world: World, minutes: float, values: Told) -> list[str]:
    """The decisions of the next poll, including those of wake-ups before it."""
    slept = world.wake_until(world.now + minutes * MINUTE)
    return slept + (world.poll_fails() if isinstance(values, str) else world.poll(values))


STORIES: list[Any] = [
    pytest.param({"above": 0.2}, [(0, 0.2, BELOW), (1, 0.21, FIRED)], id="above: the threshold itself does not cross"),
    pytest.param({"below": 0.05}, [(0, 0.05, BELOW), (1, 0.04, FIRED)], id="below: p-values fire low"),
    pytest.param({"below": 0}, [(0, 0, BELOW), (1, -1, FIRED)], id="below zero"),
    pytest.param({"for": "10m"}, [(0, 0.3, PENDING), (9, 0.3, PENDING), (1, 0.3, FIRED)], id="for: held long enough"),
    pytest.param({"for": "10m"}, [(0, 0.3, PENDING), (30, 0.3, FIRED)], id="for: no poll is needed to be satisfied"),
    pytest.param(
        {"for": "10m"},
        [(0, 0.3, PENDING), (9, 0.1, BELOW), (1, 0.3, PENDING), (9, 0.3, PENDING), (1, 0.3, FIRED)],
        id="for: coming back starts it anew",
    ),
    pytest.param(
        {"for": "10m", "clear": 0.1},
        [(0, 0.3, PENDING), (5, 0.15, BELOW), (5, 0.3, PENDING), (10, 0.3, FIRED)],
        id="for: what is not raised yet comes back at the threshold, not at clear",
    ),
    pytest.param(
        {"consecutive": 3},
        [(0, 0.3, BELOW), (1, 0.3, BELOW), (1, 0.1, BELOW), (1, 0.3, BELOW), (1, 0.3, BELOW), (1, 0.3, FIRED)],
        id="consecutive: values in a row",
    ),
    pytest.param(
        {"consecutive": 2, "for": "10m"},
        [(0, 0.3, BELOW), (20, 0.3, FIRED)],
        id="consecutive and for: both are needed",
    ),
    pytest.param(
        {"at_least": {"series": 2}},
        [(0, {"a": 0.3, "b": 0.1}, BELOW), (1, {"a": 0.3, "b": 0.3}, FIRED)],
        id="at_least series",
    ),
    pytest.param(
        {"at_least": {"series": 2}},
        [(0, {"a": 0.3, "b": 0.1}, BELOW), (1, {"a": 0.1, "b": 0.3}, BELOW)],
        id="at_least series: at the same time",
    ),
    pytest.param(
        {"at_least": {"series": 2}, "for": "10m"},
        [(0, {"a": 0.3, "b": 0.1}, BELOW), (9, {"a": 0.3, "b": 0.3}, PENDING), (10, {"a": 0.3, "b": 0.3}, FIRED)],
        id="for holds for each series by itself",
    ),
    pytest.param(
        {"at_least": {"percent": 50}},
        [(0, {"a": 0.3, "b": 0, "c": 0}, BELOW), (1, {"a": 0.3, "b": 0.3, "c": 0}, FIRED)],
        id="percent of those known is rounded up",
    ),
    pytest.param(
        {"at_least": {"percent": 50, "of": 4}},
        [(0, {"a": 0.3}, BELOW), (1, {"a": 0.3, "b": 0.3}, FIRED)],
        id="percent of so many, also if fewer are seen",
    ),
    pytest.param(
        {"at_least": {"percent": 50}},
        [(0, {"a": 0.3, "b": 0, "c": 0}, BELOW), (1, DOWN, NO_DATA), (1, {"a": 0.3, "b": 0, "c": 0}, BELOW)],
        id="percent: a poll that fails makes no series unknown",
    ),
    pytest.param(
        {"at_least": {"percent": 100}, "for": "10m"},
        [
            (0, {"a": 0.3, "b": 0}, BELOW),
            (5, {"a": 0.3, "b": 0.3}, PENDING),
            (9, {"a": 0.3}, BELOW),
            (60, {"a": 0.3}, BELOW),
        ],
        id="percent: a series that vanished while it was pending is waited for",
    ),
    pytest.param(
        {"at_least": {"percent": 50}},
        [(0, {"a": 0.3, "b": None, "c": None}, BELOW)],
        id="percent: a series without a number is known",
    ),
    pytest.param({}, [(0, {}, NO_DATA)], id="no series at all"),
    pytest.param({}, [(0, {"a": None}, NO_DATA)], id="a series without a number"),
    pytest.param({}, [(0, DOWN, NO_DATA)], id="the source does not answer"),
    pytest.param({}, [(0, float("inf"), NO_DATA), (1, float("nan"), NO_DATA)], id="neither infinity nor NaN is data"),
]


@pytest.mark.parametrize(("of", "story"), STORIES)
def test_a_metric_is_satisfied_when_it_says(of: dict[str, Any], story: list[tuple[float, Told, str]]) -> None:
    world = World(rule(metric(**of)))
    for i, (minutes, values, expected) in enumerate(story):
        decided = told(world, minutes, values)
        assert [d for d in decided if d != OVERLAP][:1] == [expected], f"poll {i}"


HOLD = [(0, 0.3, PENDING), (5, None, NO_DATA), (1, 0.3, PENDING), (4, 0.3, FIRED)]
MISSING: list[Any] = [
    pytest.param("hold", None, HOLD, id="hold: a gap does not start it anew"),
    pytest.param("hold", {}, HOLD, id="hold: nor does a series that is missing for a while"),
    pytest.param("hold", DOWN, HOLD, id="hold: nor a source that does not answer"),
    pytest.param(
        "hold", None, [(0, 0.3, PENDING), (5, None, NO_DATA), (60, None, NO_DATA)], id="hold: a gap raises nothing"
    ),
    pytest.param(
        "ok", None, [(0, 0.3, PENDING), (5, None, NO_DATA), (5, 0.3, PENDING), (10, 0.3, FIRED)], id="ok: clears it"
    ),
    pytest.param(
        "ok", {}, [(0, 0.3, PENDING), (5, {}, NO_DATA), (5, 0.3, PENDING), (10, 0.3, FIRED)], id="ok: missing clears it"
    ),
    pytest.param(
        "ok",
        DOWN,
        [(0, 0.3, PENDING), (5, DOWN, NO_DATA), (5, 0.3, PENDING), (10, 0.3, FIRED)],
        id="ok: down clears it",
    ),
    pytest.param("fire", None, [(0, 0.1, BELOW), (5, None, PENDING), (10, None, FIRED)], id="fire: crosses it"),
    pytest.param("fire", {}, [(0, 0.1, BELOW), (5, {}, PENDING), (10, {}, FIRED)], id="fire: missing crosses it"),
    pytest.param("fire", DOWN, [(0, 0.1, BELOW), (5, DOWN, PENDING), (10, DOWN, FIRED)], id="fire: down crosses it"),
    pytest.param("fire", {}, [(0, {}, PENDING), (10, {}, FIRED)], id="fire: also if there never was a series"),
    pytest.param("fire", DOWN, [(0, DOWN, PENDING), (10, DOWN, FIRED)], id="fire: also if it never answered"),
    pytest.param("fire", {}, [(0, {}, PENDING), (5, 0.1, BELOW), (10, 0.1, BELOW)], id="fire: a value takes it back"),
    pytest.param(
        "fire", None, [(0, 0.3, PENDING), (5, None, PENDING), (5, None, FIRED)], id="fire: a gap goes on crossing"
    ),
]


@pytest.mark.parametrize(("no_data", "gap", "story"), MISSING)
def test_no_data(no_data: str, gap: Told, story: list[tuple[float, Told, str]]) -> None:
    world = World(rule(metric(no_data=no_data, **{"for": "10m"})))
    for i, (minutes, values, expected) in enumerate(story):
        decided = told(world, minutes, gap if values is None else values)
        assert [d for d in decided if d != OVERLAP][:1] == [expected], f"poll {i}"


def test_fire_on_nothing_stands_for_as_many_series_as_are_needed() -> None:
    world = World(rule(metric(no_data="fire", at_least={"series": 3})))
    assert world.poll({}) == [FIRED]


def quiet_world(**of: Any) -> World:
    """A metric that is high since START, and whose run has ended an hour later."""
    world = World(rule(metric(clear=0.1, repeat_interval="1d", **of)))
    assert world.poll(0.3) == [FIRED]
    world.after(3600).end()
    return world


def test_what_stays_crossed_is_satisfied_again_only_a_repeat_interval_after_the_run() -> None:
    world = quiet_world()
    for _ in range(23):
        assert world.after(3600).poll(0.3) == [QUIET]
    assert world.wake() == [FIRED]
    assert world.now == START + 3600 + 86400


def test_a_run_on_its_way_is_the_answer_however_long_it_takes() -> None:
    world = World(rule(metric(repeat_interval="1h"), {"overlap": "allow_all"}))
    assert world.poll(0.3) == [FIRED]
    assert world.after(86400).poll(0.3) == [QUIET]
    assert world.end() == []
    assert world.wake() == [FIRED]
    assert world.now == START + 86400 + 3600


def test_a_failed_run_was_an_answer_as_well() -> None:
    world = World(rule(metric(repeat_interval="1h")))
    world.poll(0.3)
    world.end("FAILED")
    assert world.poll(0.3) == [QUIET]


def test_another_run_that_ends_is_not_the_answer() -> None:
    """With allow_all, runs are concurrent: only the end of the run that the trigger helped to start counts."""
    triggers = {**metric(repeat_interval="1h"), "new": {"data": {"source": "push"}}}
    world = World(rule(triggers, {"overlap": "allow_all"}))
    assert world.poll(0.3) == [FIRED]
    assert world.event() == ["fire batch_complete"]
    world.births.reverse()
    world.after(60).end()
    assert world.after(7200).poll(0.3) == [QUIET]
    world.end()
    assert world.wake() == [FIRED]
    assert world.now == START + 60 + 7200 + 3600


def test_after_a_chain_of_retries_its_end_counts() -> None:
    world = World(rule(metric(repeat_interval="1h"), submit={"retry": {"limit": 1}}))
    world.poll(0.3)
    world.after(60).end("FAILED")
    assert world.births[0].triggers == ("drift",)
    assert world.after(7200).poll(0.3) == [QUIET]
    world.end("SUCCEEDED", attempt=2)
    assert world.wake() == [FIRED]
    assert world.now == START + 60 + 7200 + 3600


def test_hysteresis_only_clear_ends_it_and_a_fresh_crossing_starts_it_again() -> None:
    world = quiet_world()
    assert world.poll(0.15) == [QUIET]
    assert world.poll(0.3) == [QUIET]
    assert world.poll(0.1) == [BELOW]
    assert world.poll(0.15) == [BELOW]
    assert world.poll(0.3) == [FIRED]


def test_what_vanishes_while_it_is_high_stays_high_under_hold_and_clears_under_ok() -> None:
    held, cleared = quiet_world(), quiet_world(no_data="ok")
    assert (held.poll({}), cleared.poll({})) == ([QUIET], [NO_DATA])
    assert (held.poll(0.3), cleared.poll(0.3)) == ([QUIET], [FIRED])


def noisy_day() -> list[float]:
    """One value a minute that crosses 0.2 more than 200 times: low noise, one hour above it, high noise."""
    noise = [(0.25, 0.05)[minute // 3 % 2] for minute in range(240)]
    return noise + [0.3] * 60 + [(0.25, 0.15)[minute // 3 % 2] for minute in range(300, 1440)]


@pytest.mark.parametrize(
    ("of", "low", "high"),
    [
        pytest.param({"clear": 0.1, "for": "30m"}, 1, 1, id="hysteresis and for"),
        pytest.param({}, 200, 240, id="neither"),
    ],
)
def test_a_noisy_gauge_that_crosses_200_times_a_day_starts_one_run(of: dict[str, Any], low: int, high: int) -> None:
    world = World(rule(metric(repeat_interval="3d", **of)))
    runs = 0
    for value in noisy_day():
        runs += told(world, 1, value).count(FIRED)
        if world.births:
            world.end()
    assert low <= runs <= high


def test_a_gauge_that_crosses_during_a_cooldown_is_not_forgotten() -> None:
    world = World(rule(metric(), {"cooldown": {"period": "6h"}}))
    world.poll(0.3)
    world.end()
    world.after(60).poll(0.1)
    assert world.after(3600).poll(0.3) == ["hold cooldown"]
    assert world.after(3600).poll(0.1) == ["hold cooldown"]
    assert world.wake() == [FIRED]
    assert world.now == START + 6 * 3600
    assert world.births[0].triggers == ("drift",)


def test_after_a_sticky_run_a_cleared_gauge_needs_no_second_clearing() -> None:
    world = World(rule(metric(), {"cooldown": {"period": "6h"}}))
    world.poll(0.3)
    world.end()
    for value in (0.1, 0.3, 0.1):
        world.after(60).poll(value)
    world.wake()
    world.end()
    world.after(86400)
    assert world.poll(0.3) == [FIRED]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_what_is_high_when_the_rule_first_looks_waits_for_its_share_of_the_jitter(share: float) -> None:
    world = World(rule(metric(jitter="1h")))
    world.state = world.state.but(share=share)
    decided = world.poll(0.3) + world.wake_until(START + 3600)
    assert decided[-1] == FIRED
    assert world.births[0].values == {"drift": 0.3}
    world.end()
    world.poll(0.1)
    assert world.poll(0.3) == [FIRED]  # a later crossing does not wait


def test_first_start_of_300_rules_with_high_gauges_is_no_stampede() -> None:
    starts = []
    for i in range(300):
        world = World(rule(metric(jitter="30m"), name=f"model-{i}"))
        if world.poll(0.3) != [FIRED]:
            world.wake_until(START + 1800)
        assert len(world.births) == 1
        starts.append(world.now if world.state.last_fired is None else world.state.last_fired)
    minutes = [int((start - START) // 60) for start in starts]
    assert max(minutes.count(minute) for minute in range(30)) <= 25
    assert len(set(minutes)) == 30


def test_values_out_of_order_are_left_out() -> None:
    world = World(rule(metric()))
    assert world.sample(0.1, START) == [BELOW]
    assert world.sample(0.3, START - 60) == [BELOW]
    assert world.sample(0.3, START) == [FIRED]


def test_a_moment_yet_to_come_does_not_make_all_later_values_old() -> None:
    world = World(rule(metric()))
    assert world.sample(0.1, START + 10 * 365 * 86400) == [BELOW]
    assert world.after(60).sample(0.3) == [FIRED]


def test_a_value_that_is_told_again_counts_once_for_consecutive() -> None:
    world = World(rule(metric(consecutive=2)))
    for _ in range(3):
        assert world.sample(0.3, START - 60) == [BELOW]
    assert world.sample(0.4, START - 60) == [FIRED]


STALE: list[Any] = [
    pytest.param("hold", [BELOW], NO_DATA, id="hold"),
    pytest.param("ok", [BELOW], NO_DATA, id="ok"),
    pytest.param("fire", [FIRED], FIRED, id="fire"),
]


@pytest.mark.parametrize(("no_data", "by_itself", "arrives_old"), STALE)
def test_a_value_older_than_max_sample_age_is_no_data(no_data: str, by_itself: list[str], arrives_old: str) -> None:
    world = World(rule(metric(max_sample_age="1h", no_data=no_data)))
    assert world.sample(0.1) == [BELOW]
    slept = world.wake_until(START + 3601)
    assert slept == (by_itself if no_data == "fire" else [])
    assert World(rule(metric(max_sample_age="1h", no_data=no_data))).sample(0.1, START - 3601) == [arrives_old]


def test_asleep_for_hours_it_was_raised_before_it_grew_old() -> None:
    """Changes are applied in the order in which they happened, as with frequent wake-ups."""
    asleep, awake = (World(rule(metric(max_sample_age="2h", repeat_interval="7d", **{"for": "1h"}))) for _ in range(2))
    asleep.poll(0.3)
    awake.poll(0.3)
    asleep.after(5 * 3600)
    assert asleep.give(Wake()) == [FIRED]
    assert awake.wake_until(START + 5 * 3600)[:1] == [FIRED]
    assert asleep.state.gauges["drift"].series == awake.state.gauges["drift"].series


def test_asleep_for_hours_it_grew_old_before_it_was_raised() -> None:
    world = World(rule(metric(max_sample_age="30m", **{"for": "1h"})))
    world.poll(0.3)
    world.after(5 * 3600)
    assert world.give(Wake()) == []


def poll_of(values: dict[str, float], at: float) -> list[Sample]:
    return [Sample(series, value, at) for series, value in values.items()]


LINE = Threshold(0.2, 0.2, high=True)


def test_series_that_come_and_go_do_not_add_up_and_a_failed_poll_forgets_none() -> None:
    known = ThresholdState()
    for i in range(50):
        known = level.sampled(LINE, known, poll_of({f"pod-{i}": 0.1}, i), i, whole=True)
    assert list(known.series) == ["pod-49"]
    known = level.sampled(LINE, known, (), 50, whole=True, trouble="timed out")
    assert known.series["pod-49"].live is False


def test_beyond_max_series_the_rest_is_left_out_and_it_says_so() -> None:
    many = {f"s{i}": 0.3 for i in range(MAX_SERIES + 5)}
    known = level.sampled(LINE, ThresholdState(), poll_of(many, 1), 1, whole=True)
    assert len(known.series) == MAX_SERIES
    assert known.trouble == f"5 series ignored: at most {MAX_SERIES} are tracked"


def test_all_series_may_change_their_names_at_once() -> None:
    known = level.sampled(LINE, ThresholdState(), poll_of({f"a{i}": 0.1 for i in range(MAX_SERIES)}, 1), 1, whole=True)
    known = level.sampled(LINE, known, poll_of({f"b{i}": 0.1 for i in range(MAX_SERIES)}, 2), 2, whole=True)
    assert set(known.series) == {f"b{i}" for i in range(MAX_SERIES)}
    assert known.trouble == ""


def test_pushed_series_make_room_for_new_ones_but_never_lose_a_raised_one() -> None:
    """Each alert has a fingerprint: long resolved ones must not keep new ones out."""
    known = level.sampled(LINE, ThresholdState(), poll_of({"high": 0.3}, 0), 0, whole=False)
    for i in range(1, MAX_SERIES + 10):
        known = level.sampled(LINE, known, poll_of({f"s{i}": 0.1}, i), i, whole=False)
    assert len(known.series) == MAX_SERIES
    assert known.series["high"].raised
    assert f"s{MAX_SERIES + 9}" in known.series
    assert "s1" not in known.series


@pytest.mark.parametrize(
    ("known", "percent", "of", "needed"),
    [
        (3, 50, None, 2),
        (4, 50, None, 2),
        (10, 0.1, None, 1),
        (0, 50, None, 1),
        (1, 50, 40, 20),
        (100, 7, None, 7),
        (300, 28.999999999999996, None, 87),
    ],
)
def test_percent_is_rounded_up_and_never_naught(known: int, percent: float, of: int | None, needed: int) -> None:
    assert Threshold(0, 0, high=True, percent=percent, of=of).needed(known) == needed


def test_the_furthest_value_leads_the_others() -> None:
    series = [Series(0.3, 1), Series(0.9, 1), Series(5.0, 1, live=False), Series(None, 1, live=False)]
    assert level.worst(LINE, series) == 0.9
    assert level.worst(Threshold(0.2, 0.2, high=False), series) == 0.3
    assert level.worst(LINE, series[2:]) is None
