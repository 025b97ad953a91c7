import random
from datetime import date, datetime, timedelta
from time import process_time
from zoneinfo import ZoneInfo

import pytest

from retrainer.config.models import Calendar
from retrainer.rules.calendars import Period, period_of

HOUR = 3600
BERLIN, HAVANA, APIA, SAO_PAULO = "Europe/Berlin", "America/Havana", "Pacific/Apia", "America/Sao_Paulo"
OFFICE = {"weekdays": ["mon", "tue", "wed", "thu", "fri"], "times": ["08:00-18:00"], "timezone": BERLIN}
NIGHT = {"weekdays": ["fri"], "times": ["22:00-06:00"], "timezone": BERLIN}
ALL_TIME = {"dates": ["0001-01-01/9999-12-31"]}
YEAR_END = {"dates": ["2026-12-24/2027-01-02"], "timezone": BERLIN}


def period(fields: dict[str, object]) -> Period:
    return Period(Calendar.model_validate(fields))


def at(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("fields", "moment", "inside"),
    [
        pytest.param(OFFICE, "2026-03-02T08:00", True, id="from-the-first-second"),
        pytest.param(OFFICE, "2026-03-02T17:59:59.9", True, id="up-to-the-end"),
        pytest.param(OFFICE, "2026-03-02T18:00", False, id="the-end-is-not-included"),
        pytest.param(OFFICE, "2026-03-01T12:00", False, id="not-on-Sunday"),
        pytest.param(NIGHT, "2026-03-06T23:00", True, id="before-midnight-of-its-day"),
        pytest.param(NIGHT, "2026-03-07T05:59", True, id="past-midnight-belongs-to-the-day-before"),
        pytest.param(NIGHT, "2026-03-06T05:59", False, id="Friday-morning-belongs-to-Thursday"),
        pytest.param(YEAR_END, "2026-12-24T00:00", True, id="first-day"),
        pytest.param(YEAR_END, "2027-01-02T23:59", True, id="last-day"),
        pytest.param(YEAR_END, "2027-01-03T00:00", False, id="day-after"),
        pytest.param({**YEAR_END, "weekdays": ["sat"]}, "2026-12-25T12:00", False, id="dates-and-weekdays"),
        pytest.param({**YEAR_END, "weekdays": ["sat"]}, "2026-12-26T12:00", True, id="a-Saturday-among-the-dates"),
        pytest.param({"dates": ["2026-05-01"]}, "2026-05-01T01:00", False, id="the-zone-is-the-calendar's-own"),
        pytest.param({"times": ["00:00-24:00"]}, "2026-05-01T00:00", True, id="the-whole-day"),
        pytest.param({"times": ["22:00-00:00"], "timezone": BERLIN}, "2026-05-01T23:59", True, id="up-to-midnight"),
        pytest.param(
            {"times": ["22:00-00:00"], "timezone": BERLIN}, "2026-05-01T00:00", False, id="not-beyond-midnight"
        ),
    ],
)
def test_contains(fields: dict[str, object], moment: str, inside: bool) -> None:
    assert period(fields).contains(at(moment)) is inside


@pytest.mark.parametrize(
    ("fields", "moment", "change"),
    [
        pytest.param(OFFICE, "2026-03-02T07:00", "2026-03-02T08:00", id="begins"),
        pytest.param(OFFICE, "2026-03-02T08:00", "2026-03-02T18:00", id="ends"),
        pytest.param(OFFICE, "2026-03-06T18:00", "2026-03-09T08:00", id="over-the-weekend"),
        pytest.param(OFFICE, "2026-03-28T12:00", "2026-03-30T08:00", id="over-the-change-of-clocks"),
        pytest.param(NIGHT, "2026-03-06T23:00", "2026-03-07T06:00", id="ends-past-midnight"),
        pytest.param(YEAR_END, "2026-03-01T00:00", "2026-12-24T00:00", id="dates-far-ahead"),
        pytest.param(YEAR_END, "2026-12-30T00:00", "2027-01-03T00:00", id="end-of-dates"),
        pytest.param(YEAR_END, "2027-01-03T00:00", None, id="dates-are-over"),
        pytest.param(YEAR_END, "2099-01-03T00:00", None, id="dates-are-long-over"),
        pytest.param({"times": ["00:00-24:00"]}, "2026-03-01T00:00", None, id="always"),
        pytest.param({**YEAR_END, "times": ["08:00-09:00"]}, "2027-01-02T09:00", None, id="last-time-of-the-last-date"),
        pytest.param(ALL_TIME, "2026-03-01T00:00", None, id="all-time-there-is"),
        pytest.param({**ALL_TIME, **OFFICE}, "2026-03-06T18:00", "2026-03-09T08:00", id="weekly-amid-all-time"),
        pytest.param(
            {"dates": ["2026-01-01/2080-01-01"], "timezone": BERLIN},
            "2026-03-01T00:00",
            "2080-01-02T00:00",
            id="in-54-years",
        ),
        pytest.param({"dates": ["2190-01-01"]}, "2026-03-01T00:00", None, id="not-for-a-hundred-years"),
        pytest.param(
            {"times": ["02:00-02:30"], "timezone": BERLIN}, "2026-03-28T12:00", "2026-03-30T02:00", id="not-in-the-gap"
        ),
        pytest.param(
            {"times": ["01:00-02:30"], "timezone": BERLIN}, "2026-03-29T01:30", "2026-03-29T03:00", id="ends-in-the-gap"
        ),
    ],
)
def test_next_change(fields: dict[str, object], moment: str, change: str | None) -> None:
    assert period(fields).next_change(at(moment)) == (None if change is None else at(change))


def test_a_repeated_hour_is_in_the_calendar_twice() -> None:
    times = period({"times": ["02:00-02:30"], "timezone": BERLIN})
    first = at("2026-10-25T02:00")
    assert times.next_change(at("2026-10-25T00:00")) == first
    assert times.next_change(first) == first + HOUR / 2
    assert times.next_change(first + HOUR / 2) == first + HOUR
    assert times.next_change(first + HOUR) == first + HOUR * 1.5


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        pytest.param(OFFICE, "2026-03-27", id="office-in-spring"),
        pytest.param(NIGHT, "2026-10-23", id="night-in-autumn"),
        pytest.param({"dates": ["2026-03-08"], "timezone": HAVANA}, "2026-03-07", id="a-day-without-midnight"),
        pytest.param({"dates": ["2018-02-17"], "timezone": SAO_PAULO}, "2018-02-17", id="a-day-of-25-hours"),
        pytest.param({"dates": ["2011-12-30"], "timezone": APIA}, "2011-12-29", id="a-day-that-never-was"),
        pytest.param({"weekdays": ["sat"], "timezone": APIA}, "2011-12-28", id="the-day-after-it"),
        pytest.param({"weekdays": ["fri"], "times": ["23:30-00:30"], "timezone": SAO_PAULO}, "2018-02-15", id="fold"),
        pytest.param({"times": ["08:00-12:00", "10:00-14:00", "14:00-15:00"]}, "2026-05-01", id="overlapping-times"),
        pytest.param({"dates": ["2026-05-03", "2026-05-01/2026-05-02"]}, "2026-04-30", id="adjacent-dates"),
    ],
)
def test_next_change_agrees_with_a_walk_over_every_minute(fields: dict[str, object], start: str) -> None:
    calendar = period(fields)
    first = int(at(start, "UTC"))
    walk = range(first, first + 5 * 24 * HOUR, 60)
    inside = [_plainly(fields, minute) for minute in walk]
    changes = [minute for minute, now, before in zip(walk[1:], inside[1:], inside, strict=False) if now != before]
    assert [calendar.contains(minute) for minute in walk] == inside
    for instant in random.Random(3).sample(walk, 100):
        found = calendar.next_change(instant)
        expected = next((change for change in changes if change > instant), None)
        assert found == expected or (expected is None and (found is None or found > walk[-1]))


def _plainly(fields: dict[str, object], instant: int) -> bool:
    """Evaluate the calendar in an independent way, by comparing local time as text."""
    local = datetime.fromtimestamp(instant, ZoneInfo(str(fields.get("timezone", "UTC"))))
    midnight = local.replace(tzinfo=None, hour=0, minute=0)
    clock = local.strftime("%H:%M")
    for times in fields.get("times", ["00:00-24:00"]):
        start, end = times.split("-")
        wraps = end <= start
        if start <= clock < ("24:00" if wraps else end) and _day(fields, midnight.toordinal()):
            return True
        if wraps and clock < end and _day(fields, midnight.toordinal() - 1):
            return True
    return False


def _day(fields: dict[str, object], ordinal: int) -> bool:
    day = datetime.fromordinal(ordinal)
    if "weekdays" in fields and day.strftime("%a").lower() not in fields["weekdays"]:
        return False
    ranges = [(text.split("/")[0], text.split("/")[-1]) for text in fields.get("dates", ["0000/9999"])]
    return any(first <= day.strftime("%Y-%m-%d") <= last for first, last in ranges)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({}, "an empty calendar: give it dates, weekdays or times", id="empty"),
        pytest.param(
            {"dates": ["2026-02-30"]},
            "there is no day 30 in February: write YYYY-MM-DD such as 2026-12-24",
            id="no-such-day",
        ),
        pytest.param({"dates": ["24.12.2026"]}, "'24.12.2026' is not a date", id="another-format"),
        pytest.param({"dates": ["20261224"]}, "'20261224' is not a date", id="without-dashes"),
        pytest.param({"dates": ["2026-12-24/"]}, "'' is not a date", id="open-range"),
        pytest.param({"dates": ["2027-01-02/2026-12-24"]}, "they end before they start", id="backwards"),
        pytest.param({"times": ["08:00-24:30"]}, "bad times '08:00-24:30': write 08:00-18:00", id="past-24:00"),
        pytest.param({"times": ["24:00-06:00"]}, "bad times '24:00-06:00'", id="from-24:00"),
        pytest.param({"times": ["08:00-08:00"]}, "or 00:00-24:00 for the whole day", id="no-length"),
        pytest.param({"weekdays": ["mon"], "timezone": "Berlin"}, "unknown timezone 'Berlin'", id="unknown-zone"),
    ],
)
def test_bad_calendars_say_the_way_out(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=r"calendar|date|times|timezone") as raised:
        period(fields)
    assert message in str(raised.value)


DAYS = [(date(2026, 1, 1) + timedelta(days=i)).isoformat() for i in range(10_000)]
TUESDAYS = [(date(2026, 1, 6) + timedelta(weeks=i)).isoformat() for i in range(5_000)]
MINUTES = [f"{i // 4:02}:{i % 4 * 15:02}-{i // 4:02}:{i % 4 * 15 + 7:02}" for i in range(96)]
QUARTERS = [f"{i // 4:02}:{i % 4 * 15:02}-{(i + 1) // 4:02}:{(i + 1) % 4 * 15:02}" for i in range(96)]


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        pytest.param({"dates": DAYS}, "2053-05-19T00:00", id="27 years, each day by itself"),
        pytest.param({"dates": DAYS, "times": QUARTERS}, "2053-05-19T00:00", id="and each quarter of an hour"),
        pytest.param({"dates": TUESDAYS, "weekdays": ["mon"]}, None, id="Tuesdays that are Mondays"),
        pytest.param({"dates": TUESDAYS, "weekdays": ["mon"], "times": MINUTES}, None, id="at 96 times of the day"),
        pytest.param({"times": QUARTERS}, None, id="all day long by the quarter"),
    ],
)
def test_a_calendar_of_many_lines_is_soon_looked_up(fields: dict[str, object], change: str | None) -> None:
    long = period(fields)
    began = process_time()
    assert long.next_change(at("2026-03-02T12:00", "UTC")) == (None if change is None else at(change, "UTC"))
    assert process_time() - began < 5


def test_a_calendar_that_many_name_is_made_once() -> None:
    calendar = Calendar.model_validate({"dates": DAYS})
    assert period_of(calendar) is period_of(calendar)
    assert period_of(calendar) is not period_of(Calendar.model_validate({"dates": DAYS}))
