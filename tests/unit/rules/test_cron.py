import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from retrainer.config.models import Calendar, Schedule
from retrainer.rules.cron import Slots, jitter
from tests.unit.rules.cron_oracle import Minute, Oracle, minutes

DAY = 86400
BERLIN, NEW_YORK, HAVANA, LORD_HOWE = "Europe/Berlin", "America/New_York", "America/Havana", "Australia/Lord_Howe"
ST_JOHNS, SAO_PAULO, APIA = "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia"
POLICIES = [("shift", "first"), ("shift", "both"), ("skip", "first"), ("skip", "both")]


def slots(cron: str, zone: str = "UTC", missing: str = "shift", repeated: str = "first") -> Slots:
    return Slots(Schedule(cron=cron, timezone=zone, dst={"missing": missing, "repeated": repeated}), {})


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def shown(instant: float, zone: str) -> str:
    """The local time with its offset, which distinguishes the two passes of a repeated hour."""
    return datetime.fromtimestamp(instant, ZoneInfo(zone)).strftime("%a %d %H:%M %z")


def day_of(cron: str, zone: str, day: str, missing: str = "shift", repeated: str = "first") -> list[str]:
    """All slots of one local day."""
    start = at(day, zone)
    end = at((datetime.fromisoformat(day) + timedelta(days=1)).isoformat(), zone)
    return [shown(s, zone) for s in slots(cron, zone, missing, repeated).between(start - 1, end - 1, 2000)]


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        pytest.param("0 0 * * 1", "2026-03-03", "2026-03-09", id="1-is-Monday"),
        pytest.param("0 0 * * mon", "2026-03-03", "2026-03-09", id="mon-is-Monday"),
        pytest.param("0 0 * * MON", "2026-03-03", "2026-03-09", id="names-in-capitals"),
        pytest.param("0 0 * * 0", "2026-03-02", "2026-03-08", id="0-is-Sunday"),
        pytest.param("0 0 * * 7", "2026-03-02", "2026-03-08", id="7-is-Sunday"),
        pytest.param("0 0 * * fri-7", "2026-03-07", "2026-03-08", id="a-range-up-to-7-ends-on-Sunday"),
        pytest.param("0 0 * * 6-7", "2026-03-08", "2026-03-14", id="6-7-is-the-weekend"),
        pytest.param("30 2 * * mon-fri", "2026-03-06T02:30", "2026-03-09T02:30", id="after-is-strict"),
        pytest.param("0 0 13 * 5", "2026-03-01", "2026-03-06", id="both-day-fields-mean-or-the-Friday"),
        pytest.param("0 0 13 * 1", "2026-03-10", "2026-03-13", id="both-day-fields-mean-or-the-13th"),
        pytest.param("0 0 */2 * 5", "2026-03-06", "2026-03-13", id="a-day-field-that-starts-with-a-star-means-and"),
        pytest.param("0 0 1-7 * */7", "2026-03-02", "2026-04-05", id="and-gives-the-first-Sunday-of-a-month"),
        pytest.param("0 0 30 2 1", "2026-01-30", "2026-02-02", id="or-lives-on-when-the-date-never-comes"),
        pytest.param("0 0 29 2 *", "2026-03-01", "2028-02-29", id="leap-day"),
        pytest.param("0 0 29 2 */7", "2032-03-01", "2060-02-29", id="leap-day-on-a-Sunday"),
        pytest.param("0 0 29 2 */7", "2088-03-01", "2128-02-29", id="over-2100-which-has-no-leap-day"),
        pytest.param("0 0 31 * *", "2026-03-31", "2026-05-31", id="months-without-a-31st-are-passed-over"),
        pytest.param("0 0 1 jan,jul *", "2026-02-01", "2026-07-01", id="names-of-months"),
        pytest.param(
            "5/20 * * * *", "2026-03-01T00:25", "2026-03-01T00:45", id="a-step-from-one-value-runs-to-the-end"
        ),
        pytest.param("10-30/10,55 * * * *", "2026-03-01T00:30", "2026-03-01T00:55", id="range-step-and-list"),
        pytest.param("  0   4  * * *  ", "2026-03-01", "2026-03-01T04:00", id="white-space"),
        pytest.param("@hourly", "2026-03-01T00:00", "2026-03-01T01:00", id="@hourly"),
        pytest.param("@daily", "2026-03-01", "2026-03-02", id="@daily"),
        pytest.param("@midnight", "2026-03-01", "2026-03-02", id="@midnight"),
        pytest.param("@weekly", "2026-03-01", "2026-03-08", id="@weekly-on-Sunday"),
        pytest.param("@monthly", "2026-03-01", "2026-04-01", id="@monthly"),
        pytest.param("@yearly", "2026-03-01", "2027-01-01", id="@yearly"),
        pytest.param("@annually", "2026-03-01", "2027-01-01", id="@annually"),
    ],
)
def test_meaning_of_expressions(cron: str, start: str, expected: str) -> None:
    assert slots(cron).after(at(start)) == at(expected)


SPRING, AUTUMN = "2026-03-29", "2026-10-25"  # Berlin: 02:00 becomes 03:00, and 03:00 becomes 02:00
GAP_TABLE = [
    pytest.param("30 2 * * *", BERLIN, SPRING, "shift", ["Sun 29 03:00 +0200"], id="02:30-shift"),
    pytest.param("30 2 * * *", BERLIN, SPRING, "skip", [], id="02:30-skip"),
    pytest.param(
        "0,15,30,45 2 * * *", BERLIN, SPRING, "shift", ["Sun 29 03:00 +0200"], id="four-times-shift-to-one-slot"
    ),
    pytest.param("0 2,3 * * *", BERLIN, SPRING, "shift", ["Sun 29 03:00 +0200"], id="a-shifted-slot-is-no-double"),
    pytest.param("0 2,3 * * *", BERLIN, SPRING, "skip", ["Sun 29 03:00 +0200"], id="skip-keeps-what-exists"),
    pytest.param(
        "30 1,3 * * *", BERLIN, SPRING, "shift", ["Sun 29 01:30 +0100", "Sun 29 03:30 +0200"], id="around-the-gap"
    ),
    pytest.param("*/15 2 * * *", BERLIN, SPRING, "shift", [], id="wildcard-minute-in-the-gap-has-no-slot"),
    pytest.param("30 2 * * *", NEW_YORK, "2026-03-08", "shift", ["Sun 08 03:00 -0400"], id="New-York-02:30"),
    pytest.param("15 2 * * *", LORD_HOWE, "2026-10-04", "shift", ["Sun 04 02:30 +1100"], id="Lord-Howe-half-hour"),
    pytest.param("30 2 * * *", LORD_HOWE, "2026-10-04", "skip", ["Sun 04 02:30 +1100"], id="Lord-Howe-02:30-exists"),
    pytest.param("@daily", HAVANA, "2026-03-08", "shift", ["Sun 08 01:00 -0400"], id="Havana-has-no-midnight"),
    pytest.param("@daily", HAVANA, "2026-03-08", "skip", [], id="Havana-midnight-skipped"),
    pytest.param("@daily", SAO_PAULO, "2018-11-04", "shift", ["Sun 04 01:00 -0200"], id="Sao-Paulo-has-no-midnight"),
    pytest.param("@daily", ST_JOHNS, "2010-03-14", "skip", ["Sun 14 00:00 -0330"], id="St-Johns-midnight-before-00:01"),
    pytest.param("30 2 * * *", APIA, "2011-12-31", "skip", ["Sat 31 02:30 +1400"], id="Samoa-without-the-30th-skip"),
    pytest.param(
        "30 2 * * *", APIA, "2011-12-31", "shift", ["Sat 31 00:00 +1400", "Sat 31 02:30 +1400"], id="Samoa-30th-shifts"
    ),
]


@pytest.mark.parametrize(("cron", "zone", "day", "missing", "expected"), GAP_TABLE)
def test_local_times_that_do_not_exist(cron: str, zone: str, day: str, missing: str, expected: list[str]) -> None:
    assert day_of(cron, zone, day, missing) == expected


FOLD_TABLE = [
    pytest.param("30 2 * * *", BERLIN, AUTUMN, "first", ["Sun 25 02:30 +0200"], id="02:30-first"),
    pytest.param("30 2 * * *", BERLIN, AUTUMN, "both", ["Sun 25 02:30 +0200", "Sun 25 02:30 +0100"], id="02:30-both"),
    pytest.param("30 1 * * *", NEW_YORK, "2026-11-01", "first", ["Sun 01 01:30 -0400"], id="New-York-01:30-first"),
    pytest.param(
        "30 1 * * *",
        NEW_YORK,
        "2026-11-01",
        "both",
        ["Sun 01 01:30 -0400", "Sun 01 01:30 -0500"],
        id="New-York-01:30-both",
    ),
    pytest.param(
        "0 2,3 * * *", BERLIN, AUTUMN, "first", ["Sun 25 02:00 +0200", "Sun 25 03:00 +0100"], id="03:00-comes-once"
    ),
    pytest.param(
        "*/30 2 * * *",
        BERLIN,
        AUTUMN,
        "first",
        ["Sun 25 02:00 +0200", "Sun 25 02:30 +0200", "Sun 25 02:00 +0100", "Sun 25 02:30 +0100"],
        id="wildcard-minute-runs-in-both-passes",
    ),
    pytest.param("45 1 * * *", LORD_HOWE, "2026-04-05", "first", ["Sun 05 01:45 +1100"], id="Lord-Howe-01:45-first"),
    pytest.param("15 1 * * *", LORD_HOWE, "2026-04-05", "both", ["Sun 05 01:15 +1100"], id="Lord-Howe-01:15-is-once"),
    pytest.param("@daily", HAVANA, "2026-11-01", "first", ["Sun 01 00:00 -0400"], id="Havana-midnight-first"),
    pytest.param(
        "@daily", HAVANA, "2026-11-01", "both", ["Sun 01 00:00 -0400", "Sun 01 00:00 -0500"], id="Havana-midnight-both"
    ),
    pytest.param(
        "30 23 * * *",
        SAO_PAULO,
        "2018-02-17",
        "both",
        ["Sat 17 23:30 -0200", "Sat 17 23:30 -0300"],
        id="Sao-Paulo-repeats-the-last-hour-of-the-day",
    ),
    pytest.param("@daily", SAO_PAULO, "2018-02-18", "both", ["Sun 18 00:00 -0300"], id="Sao-Paulo-midnight-comes-once"),
]


@pytest.mark.parametrize(("cron", "zone", "day", "repeated", "expected"), FOLD_TABLE)
def test_local_times_that_come_twice(cron: str, zone: str, day: str, repeated: str, expected: list[str]) -> None:
    assert day_of(cron, zone, day, "shift", repeated) == expected


@pytest.mark.parametrize(("missing", "repeated"), POLICIES)
@pytest.mark.parametrize(
    ("cron", "zone", "day", "count", "longest"),
    [
        pytest.param("*/30 * * * *", BERLIN, SPRING, 46, 1800, id="half-hourly-in-spring"),
        pytest.param("*/30 * * * *", BERLIN, AUTUMN, 50, 1800, id="half-hourly-in-autumn"),
        pytest.param("0 * * * *", NEW_YORK, "2026-03-08", 23, 3600, id="hourly-in-spring"),
        pytest.param("0 * * * *", NEW_YORK, "2026-11-01", 25, 3600, id="hourly-in-autumn"),
        pytest.param("*/30 * * * *", LORD_HOWE, "2026-10-04", 47, 1800, id="Lord-Howe-half-hourly-in-spring"),
        pytest.param("*/30 * * * *", LORD_HOWE, "2026-04-05", 49, 1800, id="Lord-Howe-half-hourly-in-autumn"),
        pytest.param("0 * * * *", LORD_HOWE, "2026-10-04", 23, 5400, id="Lord-Howe-hourly-waits-90-minutes-in-spring"),
        pytest.param("0 * * * *", LORD_HOWE, "2026-04-05", 24, 5400, id="Lord-Howe-hourly-waits-90-minutes-in-autumn"),
        pytest.param("0 * * * *", HAVANA, "2026-03-08", 23, 3600, id="Havana-hourly-in-spring"),
    ],
)
def test_wildcard_hours_follow_elapsed_time_whatever_the_policy(
    *, cron: str, zone: str, day: str, count: int, longest: float, missing: str, repeated: str
) -> None:
    schedule = slots(cron, zone, missing, repeated)
    start = at(day, zone)
    found = schedule.between(start - 1, start + DAY * 3, 1000)
    assert len(day_of(cron, zone, day, missing, repeated)) == count
    assert max(b - a for a, b in pairwise(found)) == longest
    assert len(set(found)) == len(found)


def documented() -> Iterator[tuple[str, ...]]:
    """Each cell of the tables in docs/reference/schedules.md below a heading that names a zone and a day."""
    zone = day = ""
    policies: list[str] = []
    for line in (Path(__file__).parents[3] / "docs/reference/schedules.md").read_text().splitlines():
        if heading := re.match(r"### (\S+), (\S+):", line):
            zone, day = heading.groups()
        elif line.startswith("#"):
            zone = ""
        elif line.startswith("| expression"):
            policies = re.findall(r"`(\w+: \w+)`", line)
        elif zone and line.startswith("| `"):
            cron, *cells = (cell.strip(" `") for cell in line.strip("|").split("|"))
            for policy, cell in zip(policies, cells, strict=True):
                yield zone, day, cron, policy, cell


@pytest.mark.parametrize(("zone", "day", "cron", "policy", "expected"), list(documented()))
def test_the_table_in_the_docs_is_true(zone: str, day: str, cron: str, policy: str, expected: str) -> None:
    choice, value = policy.split(": ")
    start, end = at(day, zone), at((datetime.fromisoformat(day) + timedelta(days=1)).isoformat(), zone)
    found = slots(cron, zone, **{choice: value}).between(start - 1, end - 1, 100)
    local = [datetime.fromtimestamp(slot, ZoneInfo(zone)) for slot in found]
    assert (", ".join(f"{t:%H:%M}" + " again" * t.fold for t in local) or "none") == expected


def test_the_docs_have_tables() -> None:
    assert len(list(documented())) >= 40


CHANGES = [
    (BERLIN, "2026-03-29T01:00"),
    (BERLIN, "2026-10-25T01:00"),
    (NEW_YORK, "2026-03-08T07:00"),
    (NEW_YORK, "2026-11-01T06:00"),
    (LORD_HOWE, "2026-10-03T15:30"),
    (LORD_HOWE, "2026-04-04T15:00"),
    (HAVANA, "2026-03-08T05:00"),
    (HAVANA, "2026-11-01T05:00"),
    (SAO_PAULO, "2018-11-04T03:00"),
    (SAO_PAULO, "2018-02-18T02:00"),
    (ST_JOHNS, "2010-03-14T03:31"),  # 00:01 becomes 01:01
    (ST_JOHNS, "2010-11-07T02:31"),  # 00:01 becomes 23:01 of the day before
    (APIA, "2011-12-30T10:00"),  # the 30th is skipped
    ("Asia/Pyongyang", "2015-08-14T15:00"),
    ("Asia/Pyongyang", "2018-05-04T15:00"),
    ("Antarctica/Troll", "2026-03-29T01:00"),  # a change of two hours
    ("Antarctica/Troll", "2026-10-25T01:00"),
    ("Africa/Casablanca", "2026-02-15T02:00"),
    ("Africa/Cairo", "2026-04-23T22:00"),
    ("Africa/Tunis", "2005-09-30T00:00"),  # a boundary of the offset periods of zones.py
    ("Asia/Amman", "2005-09-29T22:00"),  # just before that boundary
    ("Pacific/Kwajalein", "1993-08-21T12:00"),
    ("Asia/Gaza", "2026-03-28T00:00"),
]
ELSEWHERE = [
    "Europe/London",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "UTC",
    "Asia/Tehran",
    "Africa/Juba",
]


@cache
def window(index: int) -> tuple[str, list[Minute]]:
    """Two days around a change of clocks; for larger indices at a random time."""
    rng = random.Random(index)
    zone, change = (
        CHANGES[index]
        if index < len(CHANGES)
        else (rng.choice(ELSEWHERE), f"{rng.randint(1975, 2036)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}")
    )
    first = datetime.fromisoformat(change).replace(tzinfo=UTC) - timedelta(minutes=rng.randint(1000, 1900))
    return zone, minutes(ZoneInfo(zone), first, 2880)


def random_field(rng: random.Random, low: int, high: int, near: int, names: tuple[str, ...] = ()) -> str:
    def value() -> int:
        return min(max(rng.choice([near + rng.randint(-2, 2), rng.randint(low, high)]), low), high)

    def term() -> str:
        a, b = sorted((value(), value()))
        if a < b and rng.random() < 0.4:
            return f"{a}-{b}" + rng.choice(["", f"/{rng.randint(1, 6)}"])
        if names and rng.random() < 0.5:
            return rng.choice(names)
        return f"{a}/{rng.randint(1, 20)}" if rng.random() < 0.1 else str(a)

    kind = rng.random()
    if kind < 0.2:
        return f"*/{rng.randint(1, (high - low) // 2)}"
    return ",".join(term() for _ in range(rng.choice([1, 1, 1, 2, 3])))


def random_expression(rng: random.Random, walk: list[Minute]) -> str:
    """A random expression near the change of clocks, if there is one, by its hour, day, month and weekday."""
    change = next((i for i, minute in enumerate(walk) if minute.skipped or minute.again), len(walk) // 2)
    near = walk[change + rng.randint(-90, 90)]
    wall = rng.choice([near.wall, *near.skipped, *walk[change].skipped])
    minute = rng.choice(["0", "30", "*", random_field(rng, 0, 59, wall.minute), f"{wall.minute}"])
    hour = rng.choice(["*", f"{wall.hour}", f"{wall.hour}", "0-23", *[random_field(rng, 0, 23, wall.hour)] * 3])
    day = rng.choice(["*"] * 4 + [random_field(rng, 1, 31, wall.day)])
    month = rng.choice(["*"] * 4 + [random_field(rng, 1, 12, wall.month, ("jan", "mar", "oct", "dec"))])
    weekday = rng.choice(["*"] * 4 + [random_field(rng, 0, 7, wall.weekday, ("sun", "mon", "sat"))])
    return f"{minute} {hour} {day} {month} {weekday}"


def check_window(schedule: Slots, expected: list[float], start: float, end: float, rng: random.Random) -> int:
    """Query random instants, and instants at and next to slots; return the number of queries."""
    assert schedule.between(start, end, 5000) == expected
    edges = [
        slot + nudge for slot in rng.sample(expected, min(2, len(expected))) for nudge in (0, rng.choice([-0.5, 0.5]))
    ]
    asked = [start, rng.uniform(start, end), *edges]
    for instant in asked:
        later = [slot for slot in expected if slot > instant]
        earlier = [slot for slot in expected if slot <= instant]
        following = schedule.after(instant)
        assert following == later[0] if later else following is None or following > end
        assert schedule.last(instant, end) == (later[-1] if later else None)
        assert schedule.last(start, instant) == (earlier[-1] if earlier else None)
        assert schedule.count(instant, end, 5000) == len(later)
        assert schedule.count(instant, end, 3) == min(len(later), 3)
        assert schedule.between(instant, end, 3) == later[:3]
    return len(asked)


def test_same_slots_as_a_walk_over_every_minute() -> None:
    rng = random.Random(20260329)
    cases: Counter[str] = Counter()
    for index in range(35):
        zone, walk = window(index)
        for _ in range(36):
            expression = random_expression(rng, walk)
            try:
                slots(expression)
            except ValueError as error:
                assert "never fires" in str(error)  # noqa: PT017 - the only valid reason to reject a random expression
                continue
            oracle = Oracle(expression)
            for missing, repeated in POLICIES:
                expected = oracle.slots(walk, missing, repeated)
                schedule = slots(expression, zone, missing, repeated)
                start, end = walk[0].epoch - 0.5, walk[-1].epoch
                cases["instants"] += check_window(schedule, expected, start, end, rng)
                cases["with slots"] += bool(expected)
                cases["shaped by policy"] += expected != oracle.slots(walk, "skip", "both")
    assert cases["instants"] >= 10_000
    assert cases["with slots"] > 2000
    assert cases["shaped by policy"] > 400


def test_same_slots_as_cronsim_where_clocks_never_change() -> None:
    rng = random.Random(7)
    walk = minutes(ZoneInfo("UTC"), datetime(2026, 7, 14, tzinfo=UTC), 1440)
    for _ in range(400):
        expression = random_expression(rng, walk)
        start = datetime(
            rng.randint(1971, 2090), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23), tzinfo=UTC
        )
        try:
            expected = [slot.timestamp() for slot in islice(CronSim(expression, start), 5)]
        except ValueError:
            continue
        assert slots(expression).between(start.timestamp(), float("inf"), 5) == expected, expression


def test_every_minute_of_thirty_days_down_has_a_newest_slot_and_a_count() -> None:
    every_minute, end = slots("* * * * *", BERLIN), at("2026-11-01T12:00:30", BERLIN)
    assert every_minute.last(end - 30 * DAY, end) == end - 30
    assert every_minute.count(end - 30 * DAY, end, 1_000_000) == 30 * 1440
    assert every_minute.count(end - 30 * DAY, end, 1000) == 1000
    assert every_minute.between(end - 30 * DAY, end, 2) == [end - 30 * DAY + 30, end - 30 * DAY + 90]


@pytest.mark.parametrize(
    ("after", "until"),
    [
        pytest.param("2026-03-01T00:00", "2026-03-01T00:00", id="nothing-between-an-instant-and-itself"),
        pytest.param("2026-03-01T00:00", "2026-03-01T23:59", id="open-below-closed-above"),
        pytest.param("2026-03-03T00:00", "2026-03-01T00:00", id="the-wrong-way-round"),
    ],
)
def test_ranges_without_slots(after: str, until: str) -> None:
    daily = slots("@daily")
    assert daily.between(at(after), at(until), 10) == []
    assert daily.last(at(after), at(until)) is None
    assert daily.count(at(after), at(until), 10) == 0


def test_a_range_from_the_beginning_of_time_is_answered() -> None:
    assert slots("@yearly").last(float("-inf"), at("2026-05-01")) == at("2026-01-01")
    assert slots("@yearly").after(float("inf")) is None
    assert slots("@yearly").between(at("2026-05-01"), float("inf"), 1) == [at("2027-01-01")]


@pytest.mark.parametrize(
    ("cron", "message"),
    [
        pytest.param(
            "0 0 30 2 *", "never fires, as February never has a day 30: write a day of at most 29", id="30-February"
        ),
        pytest.param(
            "0 0 31 4,6,9,11 *",
            "as none of April, June, September, November has a day 31: write a day of at most 30",
            id="31st-of-short-months",
        ),
        pytest.param("0 24 * * *", "bad hour '24' in cron '0 24 * * *', which takes 0-23: write", id="hour-24"),
        pytest.param("60 * * * *", "bad minute '60'", id="minute-60"),
        pytest.param("0 0 0 * *", "bad day of month '0'", id="day-0"),
        pytest.param("0 0 1 13 *", "bad month '13'", id="month-13"),
        pytest.param("0 0 * * 8", "bad day of week '8'", id="weekday-8"),
        pytest.param("0 0 * * fri-sun", "a range up to Sunday ends in 7, as in fri-7", id="range-past-Saturday"),
        pytest.param("0 0 * * monday", "bad day of week 'monday'", id="long-name"),
        pytest.param("*/0 * * * *", "a step is 1 or more", id="step-0"),
        pytest.param("5-1 * * * *", "a range goes upwards", id="range-downwards"),
        pytest.param("3-3/2 * * * *", "a step needs more than one value; write 3", id="range-of-one-with-a-step"),
        pytest.param("0 0 * *", "it has 4 fields and needs minute, hour", id="four-fields"),
        pytest.param("0 0 2 * * *", 'none for seconds: write "0 2 * * *"', id="seconds"),
        pytest.param("", "it has 0 fields", id="empty"),
        pytest.param("0 0 L * *", "bad day of month 'L'", id="L-is-not-crontab"),
        pytest.param("0 0 * * mon#1", "bad day of week 'mon#1'", id="nth-weekday-is-not-crontab"),
        pytest.param("0 0 ? * mon", "bad day of month '?'", id="question-mark-is-not-crontab"),
        pytest.param("1, 2 * * *", "several of them with commas and no spaces", id="trailing-comma"),
        pytest.param(
            "CRON_TZ=Europe/Berlin 0 2 * * *", "here and Europe/Berlin as `timezone`", id="zone-in-the-expression"
        ),
        pytest.param("@reboot", "a schedule has times, and cron's @reboot is none: write a time", id="@reboot"),
        pytest.param("@Daily", "unknown cron name", id="names-are-lower-case"),
    ],
)
def test_bad_expressions_say_the_way_out(cron: str, message: str) -> None:
    with pytest.raises(ValueError, match="cron") as raised:
        slots(cron)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        pytest.param("Europe/Berln", "did you mean Europe/Berlin", id="typing-error"),
        pytest.param("Europe", "did you mean|write an IANA name", id="a-folder-of-zones"),
        pytest.param("../etc/passwd", "write an IANA name", id="a-path"),
        pytest.param("", "write an IANA name", id="empty"),
        pytest.param("\0", "write an IANA name", id="not-a-name"),
    ],
)
def test_unknown_zones_say_the_way_out(zone: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        slots("@daily", zone)


def test_excepted_names_the_calendar_that_excludes_a_slot() -> None:
    calendars = {"weekend": Calendar(weekdays=["sat", "sun"]), "year_end": Calendar(dates=["2026-12-24/2027-01-02"])}
    schedule = Slots(Schedule.model_validate({"cron": "@daily", "except": ["year_end", "weekend"]}), calendars)
    assert schedule.excepted(at("2026-12-23")) is None
    assert schedule.excepted(at("2026-12-24")) == "year_end"
    assert schedule.excepted(at("2027-01-03")) == "weekend"
    assert schedule.after(at("2026-12-23")) == at("2026-12-24")  # it remains a slot, so that its skipping is recorded


def test_an_unknown_calendar_says_which_there_are() -> None:
    schedule = Schedule.model_validate({"cron": "@daily", "except": ["holidays"]})
    with pytest.raises(ValueError, match=r"unknown calendar 'holidays' in except.*there: weekend"):
        Slots(schedule, {"weekend": Calendar(weekdays=["sat"])})


PINNED = [("churn/nightly", 1772332200.0, 600.0), ("churn/nightly", 1772418600.0, 600.0), ("basket", 0.0, 1.0)]


def test_jitter_is_the_same_on_each_machine_and_in_each_process() -> None:
    here = [jitter(*case) for case in PINNED]
    assert here == [263.8794967519786, 346.9378876430334, 0.8072879004230309]
    program = f"from retrainer.rules.cron import jitter; print([jitter(*case) for case in {PINNED!r}])"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == str(here)


def test_jitter_spreads_evenly() -> None:
    found = [jitter(f"rule-{i}", 1772332200.0, 600.0) for i in range(10_000)]
    buckets = Counter(int(delay // 60) for delay in found)
    assert min(found) >= 0
    assert max(found) < 600
    assert sorted(buckets) == list(range(10))
    assert all(850 < count < 1150 for count in buckets.values())  # 1000, five standard deviations either way


def test_jitter_of_no_spread_is_none() -> None:
    assert jitter("churn", 1772332200.0, 0.0) == 0.0
