"""Named calendars: periods of time on the wall clock of their own zone."""

from __future__ import annotations

import re
from bisect import bisect_right
from calendar import month_name
from datetime import date
from typing import TYPE_CHECKING

from retrainer.rules.zones import onward, zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import Calendar

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES = 1440
_MONTHS = 12
_FORMS = "YYYY-MM-DD such as 2026-12-24, or a range such as 2026-12-24/2027-01-02"
_EPOCH = date(1970, 1, 1).toordinal()
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIMES = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)", re.ASCII)
_FAR = 100 * 366 * 86400.0  # seconds: a change farther away than a hundred years counts as never
_WEEK = 9  # days: any weekly pattern has changed by then, from any time of a day, and across a skipped day


class Period:
    """The times in a calendar: those that match each of its dates, weekdays and times that are given.

    Times that run past midnight belong to the day they start on.
    """

    def __init__(self, calendar: Calendar) -> None:
        """Raise ValueError with a correction for an invalid date, range, time or zone, and for an empty calendar."""
        if not (calendar.dates or calendar.weekdays or calendar.times):
            raise ValueError("an empty calendar: give it dates, weekdays or times")
        self._zone = zone_of(calendar.timezone)
        self._dates = _joined([(first, last + 1) for first, last in map(_dates, calendar.dates)])
        self._begins = [first for first, _ in self._dates]
        self._weekdays = {_DAYS.index(day) for day in calendar.weekdays}
        self._times = _joined([_times(text) for text in calendar.times]) or [(0, _MINUTES)]

    def contains(self, instant: float) -> bool:
        """Whether ``instant`` (seconds since the epoch) is in the calendar."""
        offset = next(onward(self._zone, instant, instant)).offset
        return self._holds(int((instant + offset) // 60))

    def next_change(self, instant: float) -> float | None:
        """Return the first time after ``instant`` from which ``contains`` differs.

        None if it never differs, or not within a hundred years.
        """
        inside = self.contains(instant)
        for moment, minute in self._edges(instant):
            if self._holds(minute) != inside:
                return moment
        return None

    def _holds(self, minute: int) -> bool:
        """``minute`` is a wall-clock minute since 1970-01-01 00:00."""
        day, of_day = divmod(minute, _MINUTES)
        today, yesterday = self._has(day), self._has(day - 1)
        return any(
            (today and start <= of_day < end) or (yesterday and of_day + _MINUTES < end) for start, end in self._times
        )

    def _has(self, day: int) -> bool:
        """``day`` is the number of days since 1970-01-01, a Thursday."""
        if self._weekdays and (day + 3) % 7 not in self._weekdays:
            return False
        if not self._dates:
            return True
        at = bisect_right(self._begins, day) - 1
        return at >= 0 and day < self._dates[at][1]

    def _edges(self, instant: float) -> Iterator[tuple[float, int]]:
        """Yield, in order, each time at which ``contains`` may change, and the wall-clock minute at that time."""
        marks = sorted({0, *(mark % _MINUTES for times in self._times for mark in times)})
        for period in onward(self._zone, instant, self._horizon(instant)):
            low, high = -(-(period.start + period.offset) // 60), -(-(period.end + period.offset) // 60)
            if period.start > instant:
                yield float(period.start), (period.start + period.offset) // 60
            first = max(low, int((instant + period.offset) // 60) + 1)
            for day in self._days(first // _MINUTES, (high - 1) // _MINUTES):
                if not (self._has(day) or self._has(day - 1)):
                    continue  # no time of this day is in the calendar, nor was any when the day before ended
                for mark in marks:
                    if first <= day * _MINUTES + mark < high:
                        yield float((day * _MINUTES + mark) * 60 - period.offset), day * _MINUTES + mark

    def _days(self, first: int, last: int) -> Iterator[int]:
        """Yield the days on which ``contains`` may change; skip days far from any date, or deep within a range."""
        if not self._dates:
            yield from range(first, last + 1)
            return
        done = first - 1
        for start, beyond in self._dates:
            begin, until = max(done + 1, start), min(beyond, last)
            soon = min(begin + _WEEK, until + 1)
            yield from range(begin, soon)
            yield from range(max(soon, until - _WEEK), until + 1)
            done = max(done, until)

    def _horizon(self, instant: float) -> float:
        if not self._dates:
            return instant + _WEEK * 86400.0
        return min((self._dates[-1][1] - 1 + _WEEK) * 86400.0, instant + _FAR)


_KNOWN: dict[int, tuple[Calendar, Period]] = {}
_MOST_KNOWN = 1000


def period_of(calendar: Calendar) -> Period:
    """The period of a calendar, created once per calendar. Raise ValueError as `Period` does."""
    known = _KNOWN.get(id(calendar))
    if known is None or known[0] is not calendar:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        known = _KNOWN[id(calendar)] = calendar, Period(calendar)
    return known[1]


def _joined(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order, joined where they overlap. A range excludes its end."""
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(stretches):
        if joined and begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((begin, end))
    return joined


def _dates(text: str) -> tuple[int, int]:
    """Parse ``2026-12-24`` or ``2026-12-24/2027-01-02``: the first and the last day, in days since 1970-01-01."""
    first, slash, last = text.partition("/")
    start = _date(first, text)
    end = _date(last, text) if slash else start
    if end < start:
        raise ValueError(f"bad dates {text!r}: they end before they start; write the earlier day first")
    return start, end


def _date(day: str, text: str) -> int:
    wrong = f"{day!r} is not a date"
    try:
        if _DATE.fullmatch(day):
            return date.fromisoformat(day).toordinal() - _EPOCH
    except ValueError:
        month = int(day[5:7])
        what = f"month {day[5:7]}" if not 1 <= month <= _MONTHS else f"day {day[8:]} in {month_name[month]}"
        wrong = f"there is no {what}" if day[:4] != "0000" else wrong
    raise ValueError(f"{wrong if repr(text) in wrong else f'bad date {text!r}, {wrong}'}: write {_FORMS}")


def _times(text: str) -> tuple[int, int]:
    """Parse ``22:00-06:00``: minutes from the start of its first day, end excluded."""
    marks = _TIMES.fullmatch(text)
    hour, minute, to_hour, to_minute = (int(mark) for mark in marks.groups()) if marks else (0, 0, 0, 0)
    start, end = hour * 60 + minute, to_hour * 60 + to_minute
    if start == end or start >= _MINUTES or end > _MINUTES:
        raise ValueError(f"bad times {text!r}: write 08:00-18:00, 22:00-06:00, or 00:00-24:00 for the whole day")
    return start, end if end > start else end + _MINUTES
