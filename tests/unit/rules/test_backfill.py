"""Which slots of a period a backfill runs, why others are left out, and when the last one starts at the latest."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from retrainer.rules.backfill import (
    MOST,
    BackfillRecord,
    KnownSlot,
    Pace,
    last_start,
    moment_in,
    plan,
    schedules_of,
    slots_of,
)
from retrainer.rules.fold import first_state
from tests.unit.rules.world import START, rule

HOUR, DAY = 3600.0, 86400.0
HOURLY = {"hourly": {"schedule": {"cron": "0 * * * *"}}}
SLOT = START - 5 * HOUR


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


MOMENTS = [
    pytest.param("2026-11-01", "Europe/Berlin", utc("2026-10-31T23:00"), id="a day begins in its zone"),
    pytest.param("2026-11-01T02:30", "Europe/Berlin", utc("2026-11-01T01:30"), id="a time of the zone's clock"),
    pytest.param("2026-11-01T02:30Z", "Europe/Berlin", utc("2026-11-01T02:30"), id="a zone of its own"),
    pytest.param("2026-11-01t02:30:00+05:30", "UTC", utc("2026-10-31T21:00"), id="an offset"),
    pytest.param("2026-03-29T02:30", "Europe/Berlin", utc("2026-03-29T01:30"), id="a time that clocks leave out"),
    pytest.param("2026-10-25T02:30", "Europe/Berlin", utc("2026-10-25T00:30"), id="a time that comes twice: the first"),
    pytest.param("7d", "UTC", START - 7 * DAY, id="a duration back from now"),
]


@pytest.mark.parametrize(("text", "zone", "expected"), MOMENTS)
def test_moments_are_read_in_the_schedules_zone(text: str, zone: str, expected: float) -> None:
    assert moment_in(text, zone, START) == expected


@pytest.mark.parametrize("text", ["", "now", "1 week", "2026-13-01", "-7d", "9999999999999999999999d", "0001-01-01"])
def test_what_is_no_moment_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a time: write a date \(2026-11-01\)"):
        moment_in(text, "Pacific/Kiritimati", START)


def test_the_first_moment_belongs_to_a_period_and_the_last_does_not() -> None:
    found = slots_of(schedules_of(rule(HOURLY), None), "2027-01-15T06:00", "2027-01-15T08:00", START)
    assert found == [("hourly", START - 2 * HOUR), ("hourly", START - HOUR)]


def test_what_is_still_to_come_is_no_slot_of_a_period() -> None:
    schedules = schedules_of(rule(HOURLY), None)
    assert slots_of(schedules, "1h", "9999-12-31", START) == [("hourly", START - HOUR)]
    with pytest.raises(ValueError, match="give an earlier `from`"):
        slots_of(schedules, "2030-01-01", None, START)


def test_slots_of_several_schedules_come_by_their_time() -> None:
    both = {**HOURLY, "daily": {"schedule": {"cron": "0 7 * * *"}}}
    found = slots_of(schedules_of(rule(both), None), "2027-01-15T06:00", None, START)
    assert found == [("hourly", START - 2 * HOUR), ("daily", START - HOUR), ("hourly", START - HOUR)]
    assert slots_of(schedules_of(rule(both), "daily"), "1d", None, START) == [("daily", START - HOUR)]


def test_a_period_has_no_more_slots_than_may_wait() -> None:
    schedules = schedules_of(rule(HOURLY), None)
    assert len(slots_of(schedules, f"{MOST}h", None, START)) == MOST
    with pytest.raises(ValueError, match="give a shorter period"):
        slots_of(schedules, f"{MOST + 1}h", None, START)


RAN = {"outcome": "fired", "reason": "schedule", "run": "r1"}
FATES: list[Any] = [
    pytest.param({}, (True, "no record"), (True, "no record"), id="from before the rule"),
    pytest.param(
        {"records": {("hourly", SLOT): BackfillRecord("skipped", "overlap")}},
        (True, "skipped: overlap"),
        (True, "skipped: overlap"),
        id="skipped",
    ),
    pytest.param({"missed": {"hourly": [(SLOT - HOUR, SLOT)]}}, (True, "missed"), (True, "missed"), id="missed"),
    pytest.param(
        {"missed": {"other": [(SLOT, SLOT)]}}, (True, "no record"), (True, "no record"), id="missed by another"
    ),
    pytest.param(
        {"records": {("hourly", SLOT): BackfillRecord(**RAN, phase="FAILED")}},
        (False, "ran: FAILED"),
        (True, "ran: FAILED; runs again"),
        id="ran, and failed",
    ),
    pytest.param(
        {"records": {("hourly", SLOT): BackfillRecord(**RAN)}},
        (False, "ran: its run is no longer in the store"),
        (True, "ran: its run is no longer in the store; runs again"),
        id="ran long ago",
    ),
    pytest.param(
        {"records": {("hourly", SLOT): BackfillRecord(**RAN, phase="RUNNING", live=True)}},
        (False, "its run is active: RUNNING"),
        (False, "its run is active: RUNNING"),
        id="running",
    ),
    pytest.param(
        {"records": {("hourly", SLOT): BackfillRecord(**RAN, phase="CANCELLED", started=False)}},
        (True, "its run never started: CANCELLED"),
        (True, "its run never started: CANCELLED"),
        id="cancelled before it started",
    ),
    pytest.param(
        {"waiting": {("hourly", SLOT)}},
        (False, "requested already, waiting"),
        (False, "requested already, waiting"),
        id="waits already",
    ),
    pytest.param(
        {"due": {("hourly", SLOT)}},
        (False, "due on its schedule, waiting for its run"),
        (False, "due on its schedule, waiting for its run"),
        id="due by itself",
    ),
    pytest.param({"told": {"hourly": SLOT - 1}}, (False, "not due yet"), (False, "not due yet"), id="not due yet"),
    pytest.param({"told": {"hourly": SLOT}}, (True, "no record"), (True, "no record"), id="just told"),
    pytest.param(
        {"forgotten": (SLOT - 1, SLOT)},
        (False, "its record was pruned, so it is unknown whether it ran"),
        (True, "its record was pruned, so it is unknown whether it ran; runs because of `rerun`"),
        id="of a time whose records are removed",
    ),
    pytest.param(
        {"forgotten": (SLOT, START)}, (True, "no record"), (True, "no record"), id="older than what may be removed"
    ),
]


@pytest.mark.parametrize(("known", "once", "rerun"), FATES)
def test_what_becomes_of_a_slot(known: dict[str, Any], once: tuple[bool, str], rerun: tuple[bool, str]) -> None:
    for wanted, expected in ((False, once), (True, rerun)):
        (planned,) = plan(rule(HOURLY), [("hourly", SLOT)], KnownSlot(**known), rerun=wanted)
        assert (planned.runs, planned.why) == expected


DAILY_REST = {"cooldown": {"period": "24h", "from": "fired"}}
PACES = [
    pytest.param({}, Pace(HOUR, 1), 1, 0.0, id="one starts at once"),
    pytest.param({}, Pace(HOUR, 1), 4, 3 * HOUR, id="one behind the other"),
    pytest.param({}, Pace(HOUR, 3), 4, HOUR, id="three at once"),
    pytest.param({"cooldown": {"period": "6h"}}, Pace(HOUR, 1), 3, 14 * HOUR, id="each rests after its end"),
    pytest.param(DAILY_REST, Pace(HOUR, 1), 3, 2 * DAY, id="each rests from its start"),
    pytest.param({}, Pace(0.0, 9, 2, DAY), 5, 2 * DAY, id="two a day"),
    pytest.param({}, Pace(0.0, 9, 2, DAY, (START - DAY / 2,)), 2, DAY / 2, id="of which one is spent already"),
    pytest.param({}, Pace(0.0, 9, 0, DAY), 1, None, id="a budget for none"),
]


@pytest.mark.parametrize(("limits", "pace", "count", "expected"), PACES)
def test_when_the_last_one_would_start(limits: dict[str, Any], pace: Pace, count: int, expected: float | None) -> None:
    compiled = rule(HOURLY, limits)
    at = last_start(compiled, first_state(compiled, "", START), count, pace, START)
    assert at == (None if expected is None else START + expected)


def test_a_run_on_its_way_and_a_rest_are_waited_for() -> None:
    compiled = rule(HOURLY, {"cooldown": {"period": "6h"}})
    state = first_state(compiled, "", START)
    assert last_start(compiled, replace(state, active=1), 1, Pace(HOUR, 1), START) == START + HOUR
    assert last_start(compiled, replace(state, last_completed=START - HOUR), 1, Pace(1.0, 1), START) == START + 5 * HOUR
