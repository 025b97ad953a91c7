"""Manual requests wait in order: single runs first, then the slots of backfills."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from retrainer.rules.explain import explain
from retrainer.rules.fold import revise
from retrainer.rules.limits import RemainingBudget
from retrainer.rules.outcome import Reason, SlotRecord, Unrendered
from retrainer.rules.state import ManualRequest, decode, encode
from tests.unit.rules.world import DATA, START, World, batch, rule

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule

HOUR = 3600.0
HOURLY = {"nightly": {"schedule": {"cron": "0 * * * *"}}}
FIRST, SECOND, THIRD = START - 72 * HOUR, START - 48 * HOUR, START - 24 * HOUR


def waiting(world: World) -> list[float | None]:
    return [asked.scheduled_at for asked in world.state.asked]


def test_requests_by_hand_wait_for_each_other_and_none_is_lost() -> None:
    world = World(rule())
    assert [world.manual(depth=str(n)) for n in range(3)] == [["fire manual"], ["hold overlap"], ["hold overlap"]]
    assert world.end() == ["fire manual", "hold overlap"]
    assert world.end("FAILED") == ["fire manual"]
    world.end()
    assert world.state.asked == ()


def test_each_run_has_the_parameters_it_was_asked_for() -> None:
    world = World(rule(limits={"overlap": "allow_all", "max_active": 1}))
    for depth in ("1", "2", "3"):
        world.manual(depth=depth)
    depths = []
    while world.births:
        depths.append(world.births[0].parameters["depth"])
        world.end()
    assert depths == ["1", "2", "3"]


def test_under_overlap_skip_a_run_by_hand_is_skipped_and_a_backfill_waits() -> None:
    world = World(rule(HOURLY, {"overlap": "skip"}))
    assert world.backfill(FIRST, SECOND) == ["fire backfill", "hold overlap"]
    assert world.manual() == ["skip overlap", "hold overlap"]
    assert world.end() == ["fire backfill"]
    assert world.state.asked == ()


def test_slots_run_in_turn_each_with_its_own_moment_and_record() -> None:
    world = World(rule(HOURLY))
    assert world.backfill(FIRST, SECOND) == ["fire backfill", "hold overlap"]
    (first,) = world.births
    assert (first.trigger, first.triggers, first.scheduled_at) == ("nightly", ("nightly",), FIRST)
    assert world.end("FAILED") == ["fire backfill"]
    assert world.births[0].scheduled_at == SECOND
    assert world.slots == [SlotRecord("nightly", slot, "fired", Reason.BACKFILL, slot) for slot in (FIRST, SECOND)]


@pytest.mark.parametrize("overlap", ["cancel_other", "terminate_other"])
def test_a_backfill_stops_no_other_run(overlap: str) -> None:
    world = World(rule(HOURLY, {"overlap": overlap}))
    world.backfill(FIRST, SECOND)
    assert (world.stops, world.state.stopping) == ([], False)
    world.after(HOUR).event(triggers=())  # the next slot is due and fires
    assert world.stops == ["Stop" if overlap == "cancel_other" else "Terminate"]


def test_what_is_due_by_itself_goes_before_a_backfill_and_a_run_by_hand_before_both() -> None:
    world = World(rule({**HOURLY, "new": DATA}))
    world.backfill(FIRST, SECOND, THIRD)
    world.event()
    assert world.end() == ["fire batch_complete", "hold overlap"]
    world.event()
    world.manual()
    assert world.end() == ["fire manual", "hold overlap"]
    assert world.births[0].window.events == 1, "a run by hand takes what is due along"
    assert world.end() == ["fire backfill", "hold overlap"]
    assert waiting(world) == [THIRD]


def test_a_backfill_takes_no_data_and_answers_no_slot_that_is_due() -> None:
    world = World(rule({**HOURLY, **batch(at_least={"events": 3})}))
    world.event()
    world.backfill(FIRST)
    assert (world.births[0].window.events, world.state.window.events) == (0, 1)
    world.after(HOUR).event()
    assert world.end() == ["fire schedule"]
    assert world.births[0].window.events == 2


LIMITED = [
    pytest.param(rule(HOURLY, paused=True), None, "paused", "fire", id="paused"),
    pytest.param(
        rule(HOURLY, {"cooldown": {"period": "6h", "from": "fired"}}), START - HOUR, "cooldown", "fire", id="cooldown"
    ),
]


@pytest.mark.parametrize(("compiled", "last_fired", "reason", "by_hand"), LIMITED)
def test_a_backfill_heeds_what_a_run_by_hand_passes_over(
    compiled: CompiledRule, last_fired: float | None, reason: str, by_hand: str
) -> None:
    world = World(compiled)
    world.state = replace(world.state, last_fired=last_fired)
    assert world.backfill(FIRST) == [f"hold {reason}"]
    assert world.manual() == [f"{by_hand} manual", "hold overlap" if reason == "cooldown" else f"hold {reason}"]


def test_what_is_asked_of_a_rule_in_shadow_waits_until_it_is_active() -> None:
    world = World(rule(HOURLY, mode="shadow"))
    assert world.backfill(FIRST) == ["hold shadow"]
    assert world.manual() == ["hold shadow"]
    assert world.births == []


def test_an_open_circuit_breaker_holds_a_backfill_until_someone_resumes() -> None:
    world = World(rule(HOURLY, {"pause_after_failures": 2}))
    world.backfill(FIRST, SECOND, THIRD)
    world.end("FAILED")
    assert world.end("FAILED") == ["hold circuit_open"]
    assert world.resume() == ["fire backfill"]


def test_a_backfill_waits_for_the_budget_and_wakes_when_there_is_some() -> None:
    world = World(rule(HOURLY, {"overlap": "allow_all"}))
    world.remaining_budget = RemainingBudget(1, "1 of 2 runs", START + HOUR)
    assert world.backfill(FIRST, SECOND) == ["fire backfill", "hold budget"]
    world.remaining_budget = RemainingBudget(0, "2 of 2 runs", START + 90)
    assert world.after(1).event(triggers=()) == ["hold budget"]
    assert world.state.wake_at == START + 90


def test_a_cooldown_spreads_a_backfill_out() -> None:
    world = World(rule({"yearly": {"schedule": {"cron": "0 0 1 1 *"}}}, {"cooldown": {"period": "6h"}}))
    world.backfill(FIRST, SECOND, trigger="yearly")
    assert world.after(60).end() == ["hold cooldown"]
    assert world.wake() == ["fire backfill"]
    assert world.now == START + 60 + 6 * HOUR


def test_a_deadline_gives_up_a_run_by_hand_and_never_a_backfill() -> None:
    world = World(rule(HOURLY, {"deadline": "40m"}))
    world.backfill(FIRST, SECOND)
    world.after(60).manual()
    assert world.wake_until(START + 50 * 60) == ["skip deadline", "hold overlap"]
    assert waiting(world) == [SECOND]


def test_a_slot_that_is_skipped_for_a_run_does_not_hold_the_backfill_up() -> None:
    world = World(rule(HOURLY, {"deadline": "40m", "cooldown": {"period": "2h"}}))
    world.manual()
    world.end()
    world.backfill(FIRST)
    assert world.wake_until(START + 1.9 * HOUR) == ["hold cooldown", "skip deadline", "hold cooldown"]
    world.state = replace(world.state, cursors={})
    assert world.wake_until(START + 2.1 * HOUR) == ["fire backfill"]


def test_what_has_not_started_can_be_withdrawn() -> None:
    world = World(rule(HOURLY))
    world.backfill(FIRST, SECOND, THIRD)
    world.manual()
    world.withdraw()
    assert waiting(world) == [None]
    assert world.end() == ["fire manual"]


def test_runs_by_hand_that_have_not_started_can_be_withdrawn() -> None:
    world = World(rule(HOURLY))
    world.manual()
    world.manual()
    world.backfill(FIRST)
    world.withdraw(manual=True)
    assert waiting(world) == [FIRST]
    assert world.end() == ["fire backfill"]


def test_parameters_that_cannot_be_rendered_cost_one_slot_only() -> None:
    world = World(rule({**HOURLY, "new": DATA}))
    world.backfill(FIRST, SECOND)
    assert world.give(Unrendered(world.births.pop(), "no such output")) == ["skip bad_parameters"]
    assert not world.state.lapsed
    assert world.wake() == ["fire backfill"]
    assert world.births[0].scheduled_at == SECOND


def test_a_schedule_that_is_edited_takes_its_backfill_along() -> None:
    both = {**HOURLY, "weekly": {"schedule": {"cron": "0 0 * * 0"}}}
    world = World(rule(both, paused=True))
    world.backfill(FIRST)
    world.backfill(SECOND, trigger="weekly")
    world.manual()
    kept, _ = revise(rule(HOURLY), "", replace(world.state, asked=world.state.asked), START)
    assert [asked.scheduled_at for asked in kept.asked] == [FIRST]
    dropped, _ = revise(rule(both), "", world.state, START, ["nightly"])
    assert [asked.scheduled_at for asked in dropped.asked] == [SECOND]


def test_explain_says_what_waits_and_why() -> None:
    world = World(rule({"yearly": {"schedule": {"cron": "0 0 1 1 *"}}}))
    world.manual()
    world.backfill(FIRST, SECOND, trigger="yearly")
    world.manual()
    told = explain(world.rule, "", world.state, world.now)
    assert (told["decision"], told["reason"]) == ("hold", "overlap")
    (node,) = [node for node in told["tree"] if node["name"] == "requests"]
    assert (node["state"], node["detail"]) == ("waiting", "1 manual, 2 slots of a backfill, next 2027-01-12T08:00:00Z")


@pytest.mark.parametrize(
    ("due", "asked", "left"),
    [
        pytest.param([9.0, ["manual"], "manual"], {"depth": "5"}, None, id="alone"),
        pytest.param([9.0, ["new"], "batch_complete"], {}, 9.0, id="and due by itself"),
    ],
)
def test_a_state_of_version_1_keeps_what_was_asked_for(due: list[Any], asked: dict[str, str], left: Any) -> None:
    state = decode(orjson.dumps({"seen_at": 1.0, "due": due, "asked": {"parameters": asked}}).decode())
    assert state.asked == (ManualRequest(asked, at=9.0),)
    assert (state.due.since if state.due else None) == left


def test_the_parameters_of_many_slots_are_stored_once() -> None:
    world = World(rule(HOURLY, paused=True))
    world.backfill(*(START - n * HOUR for n in range(1000, 0, -1)), request="one", note="x" * 10_000)
    world.backfill(START - 2000 * HOUR, request="two", note="y")
    text = encode(world.state)
    assert decode(text) == world.state
    assert len(text) < 40_000
