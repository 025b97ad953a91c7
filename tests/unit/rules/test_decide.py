"""Decisions of a rule: each row is a sequence of inputs with the expected decision of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.rules.world import START, World, batch, rule

if TYPE_CHECKING:
    from collections.abc import Callable

INCOMPLETE, COMPLETE = "hold batch_incomplete", "fire batch_complete"


@pytest.mark.parametrize(
    ("of", "story"),
    [
        pytest.param({}, [(0, 0, 0, COMPLETE)], id="without a size one event is a batch"),
        pytest.param(
            {"at_least": {"events": 3}}, [(0, 0, 0, INCOMPLETE)] * 2 + [(0, 0, 0, COMPLETE)], id="events are counted"
        ),
        pytest.param(
            {"at_least": {"bytes": "1KB"}}, [(0, 999, 0, INCOMPLETE), (0, 1, 0, COMPLETE)], id="bytes are added up"
        ),
        pytest.param({"at_least": {"rows": 10}}, [(0, 0, 9, INCOMPLETE), (0, 0, 1, COMPLETE)], id="rows are added up"),
        pytest.param(
            {"at_least": {"events": 100, "rows": 10}}, [(0, 0, 10, COMPLETE)], id="the first of several sizes decides"
        ),
        pytest.param({"debounce": "10m"}, [(0, 0, 0, "hold debounce")], id="debounce waits after one event"),
        pytest.param(
            {"at_least": {"events": 2}, "max_wait": "1h"},
            [(0, 0, 0, INCOMPLETE), (3600, 0, 0, COMPLETE)],
            id="max_wait counts from the first pending event",
        ),
    ],
)
def test_a_batch_is_complete_when_it_says(of: dict[str, Any], story: list[tuple[float, int, int, str]]) -> None:
    world = World(rule(batch(**of)))
    for wait, size, rows, decision in story:
        assert world.after(wait).event(size, rows) == [decision]


def test_time_alone_completes_a_batch_and_nothing_pending_starts_no_run() -> None:
    world = World(rule(batch(at_least={"events": 100}, max_wait="1h")))
    world.event()
    assert world.wake() == [COMPLETE]
    assert world.now == START + 3600
    assert world.births[0].window.events == 1
    assert world.end() == []
    assert world.state.wake_at is None


def test_debounce_starts_anew_with_each_event_and_or_after_caps_it() -> None:
    world = World(rule(batch(debounce="10m", max_wait="25m")))
    for wait in (0, 540, 540):
        assert world.after(wait).event() == ["hold debounce"]
    assert world.wake() == [COMPLETE]
    assert world.now == START + 1500
    assert world.births[0].window.events == 3


def test_a_run_takes_all_that_is_pending_and_says_from_when_to_when() -> None:
    world = World(rule(batch(at_least={"events": 3})))
    for _ in range(3):
        world.event(size=10, rows=2)
        world.after(60)
    window = world.births[0].window
    assert (window.events, window.bytes, window.rows) == (3, 30, 6)
    assert (window.start, window.end) == (START - 5, START + 115)
    assert (window.first_key, window.last_key) == ("file-1", "file-3")
    assert window.ranges == ((1, 3),)
    assert world.state.window.events == 0


OVERLAPS = [
    pytest.param("skip", ["skip overlap"], [COMPLETE], [], id="skip: data keeps accumulating and runs next"),
    pytest.param("buffer_one", ["hold overlap"], [COMPLETE], [], id="buffer_one: waits for the end"),
    pytest.param("allow_all", [COMPLETE], [], [], id="allow_all: runs beside it"),
    pytest.param("cancel_other", ["hold overlap"], [COMPLETE], ["Stop"], id="cancel_other: stops the other first"),
    pytest.param("terminate_other", ["hold overlap"], [COMPLETE], ["Terminate"], id="terminate_other: kills it first"),
]


@pytest.mark.parametrize(("overlap", "second", "at_end", "stops"), OVERLAPS)
def test_overlap(overlap: str, second: list[str], at_end: list[str], stops: list[str]) -> None:
    world = World(rule(limits={"overlap": overlap}))
    assert world.event() == [COMPLETE]
    assert world.event() == second
    world.event()
    assert world.stops == stops
    assert world.end("CANCELLED" if stops else "SUCCEEDED", by_request=bool(stops)) == at_end
    if at_end:
        expected = 3 if stops else 2  # a stopped run returns its inputs
        assert world.births[-1].window.events == expected


def test_allow_all_has_a_cap_beyond_which_input_joins_the_next_run() -> None:
    world = World(rule(limits={"overlap": "allow_all", "max_active": 2}))
    assert [world.event() for _ in range(4)] == [[COMPLETE], [COMPLETE], ["hold overlap"], ["hold overlap"]]
    assert world.end() == [COMPLETE]
    assert world.births[-1].window.events == 2


@pytest.mark.parametrize(
    ("since", "end", "expected"),
    [
        pytest.param("fired", "FAILED", START + 3600, id="from the start of the run"),
        pytest.param("completed", "FAILED", START + 100 + 3600, id="from its end, however it ended"),
        pytest.param("succeeded", "SUCCEEDED", START + 100 + 3600, id="from its success"),
    ],
)
def test_cooldown_holds_until_a_known_moment(since: str, end: str, expected: float) -> None:
    world = World(rule(limits={"cooldown": {"period": "1h", "from": since}}))
    world.event()
    world.after(100).end(end)
    assert world.event() == ["hold cooldown"]
    assert world.state.wake_at == expected
    assert world.wake() == [COMPLETE]
    assert world.now == expected


def test_a_cooldown_from_success_does_not_follow_a_failure() -> None:
    world = World(rule(limits={"cooldown": {"period": "1h", "from": "succeeded"}}))
    world.event()
    world.end("FAILED")
    assert world.event() == [COMPLETE]


def test_deadline_gives_a_due_rule_up_and_keeps_its_data() -> None:
    world = World(rule(limits={"deadline": "30m", "cooldown": {"period": "6h"}}))
    world.event()
    world.end()
    world.event()
    assert world.wake() == ["skip deadline"]
    assert world.now == START + 1800
    assert world.state.window.events == 1
    assert world.after(6 * 3600).event() == [COMPLETE]
    assert world.births[-1].window.events == 2


@pytest.mark.parametrize("phase", ["FAILED", "ERROR", "CANCELLED", "UNKNOWN"])
def test_inputs_of_a_run_that_did_not_succeed_join_the_next_window(phase: str) -> None:
    world = World(rule(batch(at_least={"events": 2})))
    world.event()
    world.event()
    assert world.after(10).end(phase) == []  # returned inputs start no run by themselves, or a failure would repeat
    assert world.state.window.events == 2
    assert world.event() == [COMPLETE]
    assert world.births[0].window.events == 3
    assert world.births[0].window.ranges == ((1, 3),)


def test_given_back_inputs_run_again_after_or_after() -> None:
    world = World(rule(batch(at_least={"events": 1}, max_wait="1h")))
    world.event()
    world.after(10).end("FAILED")
    assert world.wake() == [COMPLETE]
    assert world.now == START + 10 + 3600


def test_a_success_spends_its_inputs_and_consume_fired_spends_them_at_once() -> None:
    for submit, phase in (({}, "SUCCEEDED"), ({"inputs_on_failure": "keep"}, "FAILED")):
        world = World(rule(submit=submit))
        world.event()
        world.end(phase)
        assert world.state.window.events == 0


def test_ranges_do_not_grow_with_failures() -> None:
    world = World(rule())
    for _ in range(50):
        world.event()
        world.end("FAILED")
    assert world.state.window.ranges == ((1, 50),)


def test_ranges_tell_apart_what_runs_beside_each_other_took() -> None:
    world = World(rule(limits={"overlap": "allow_all"}))
    for _ in range(3):
        world.event()
    world.end("FAILED")  # the first of three
    world.event()
    assert world.births[-1].window.ranges == ((1, 1), (4, 4))


RETRY = {"retry": {"limit": 2, "backoff": {"duration": "1m", "factor": 3, "max_duration": "2m"}}}


def test_retry_waits_longer_each_time_keeps_the_slot_and_ends() -> None:
    world = World(rule(submit=RETRY))
    world.event()
    first = world.births[0]
    for attempt, wait in ((1, 60), (2, 120)):
        assert world.end("FAILED", attempt)[0] == "fire retry"
        assert world.births[0].not_before == world.now + wait
        assert (world.births[0].window, world.births[0].retry_of) == (first.window, "run")
        assert world.event() == ["hold overlap"]
    assert world.end("FAILED", 3) == [COMPLETE]  # the retries are used up; the inputs join those that arrived meanwhile
    assert world.births[0].window.events == 3
    assert world.state.failures == 1


@pytest.mark.parametrize(
    ("phase", "by_request"),
    [
        pytest.param("UNKNOWN", False, id="a phase that is not listed"),
        pytest.param("FAILED", True, id="somebody stopped it"),
    ],
)
def test_no_retry(phase: str, by_request: bool) -> None:
    world = World(rule(submit=RETRY))
    world.event()
    assert world.end(phase, by_request=by_request) == []


def test_circuit_breaker_opens_after_failures_in_a_row_and_resume_closes_it() -> None:
    world = World(rule(limits={"pause_after_failures": 2}))
    for _ in range(2):
        assert world.event() == [COMPLETE]
        world.end("FAILED")
    assert world.event() == ["hold circuit_open"]
    assert world.state.wake_at is None
    assert world.resume() == [COMPLETE]
    assert world.births[0].window.events == 3


@pytest.mark.parametrize(
    "ends",
    [pytest.param(("FAILED", "SUCCEEDED", "FAILED"), id="success"), pytest.param(("FAILED", "CANCELLED"), id="stop")],
)
def test_only_failures_in_a_row_open_the_breaker(ends: tuple[str, ...]) -> None:
    world = World(rule(limits={"pause_after_failures": 2}))
    for end in ends:
        world.event()
        world.end(end)
    assert world.event() == [COMPLETE]


def test_paused_holds_and_resuming_runs_once_with_everything() -> None:
    world = World(rule(paused=True))
    assert [world.event() for _ in range(3)] == [["hold paused"]] * 3
    world.rule = rule()
    assert world.resume() == [COMPLETE]
    assert world.births[0].window.events == 3


def test_shadow_decides_spends_and_submits_nothing() -> None:
    world = World(rule(mode="shadow", limits={"cooldown": {"period": "1h"}}))
    assert world.event() == ["fire shadow"]
    assert world.births == []
    assert world.event() == ["hold cooldown"]


HELD: list[Callable[[World], Any]] = [lambda w: w.event(), lambda w: w.end("FAILED")]


def test_a_manual_run_heeds_only_the_overlap() -> None:
    world = World(rule(limits={"pause_after_failures": 1, "cooldown": {"period": "1d"}}))
    for act in HELD:
        act(world)
    assert world.event() == ["hold circuit_open"]
    assert world.manual() == ["fire manual"]
    assert world.births[0].window.events == 2
    assert world.manual() == ["hold overlap"]
    assert world.end() == ["fire manual"]


def test_a_batch_is_the_fold_of_its_singles() -> None:
    """Two triggers of a rule may match one event. It counts once for the run."""
    triggers = {
        **batch(at_least={"events": 2}),
        "big": {"data": {"source": "push", "batch": {"at_least": {"bytes": "1MB"}}}},
    }
    world = World(rule(triggers))
    world.event(10, triggers=("new", "big"))
    assert world.event(20, triggers=("big",)) == ["hold batch_incomplete"]
    assert world.event(30, triggers=("new",)) == [COMPLETE]
    assert world.births[0].window.events == 3
    assert {name: w.events for name, w in world.births[0].taken.items()} == {"new": 2, "big": 2}
