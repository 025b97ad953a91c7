"""The slots of a schedule: the times at which it is due, each identified by its time in UTC.

An expression is matched against the wall clock of the schedule's zone. Where clocks change:

* an expression whose minute or hour starts with ``*`` follows the wall clock as it runs (real elapsed time): skipped
  times have no slot, repeated times have one slot each; ``dst`` has no effect;
* for any other, ``missing: shift`` moves slots in skipped times to the first moment after them, and ``repeated: first``
  drops slots when the wall clock shows a time again.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

from retrainer.rules.calendars import Period, period_of
from retrainer.rules.crontab import MINUTES, lowest, parse
from retrainer.rules.zones import OffsetPeriod, backward, onward, zone_of
from retrainer.util.timefmt import within

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.config.models import Calendar, Schedule

_HORIZON = 42 * 366 * 86400.0  # 29 February on a given weekday can be 40 years away; no slot is farther.
_CHANGES = 400 * 86400.0
"""Seconds; longer than any period of `zones`, which are at most 384 days."""


class Slots:
    """The slots of one schedule. Times are epoch seconds (UTC); ranges exclude the lower and include the upper end."""

    def __init__(self, schedule: Schedule, calendars: Mapping[str, Calendar]) -> None:
        """Raise ValueError with a correction: invalid expression, one that never fires, unknown zone or calendar."""
        self._crontab = parse(schedule.cron)
        self._zone = zone_of(schedule.timezone)
        self._shifts = schedule.dst.missing == "shift" and not self._crontab.wild
        self._repeats = schedule.dst.repeated == "both" or self._crontab.wild
        self._excepted = [(name, _period(name, calendars)) for name in dict.fromkeys(schedule.except_)]

    @property
    def calendars(self) -> Sequence[tuple[str, Period]]:
        """The calendars of `except`, by name."""
        return self._excepted

    def after(self, instant: float) -> float | None:
        """Return the first slot later than ``instant``; None only near the end of the calendar's range."""
        return next(self._walk(instant, instant + _HORIZON), None)

    def between(self, after: float, until: float, limit: int) -> list[float]:
        """Return the slots with ``after < slot <= until``, oldest first, at most ``limit``."""
        return list(islice(self._walk(after, until), limit))

    def last(self, after: float, until: float) -> float | None:
        """Return the newest slot with ``after < slot <= until``. The cost does not grow with the range."""
        floor = max(after, until - _HORIZON)
        for period in backward(self._zone, until, floor):
            low, high = self._minutes(period, floor, until)
            minute = self._minute_to(high - 1, low)
            if minute is not None:
                return float(minute * 60 - period.offset)
            if floor < period.start and self._shifted(period):
                return float(period.start)
        return None

    def count(self, after: float, until: float, cap: int) -> int:
        """Return the number of slots with ``after < slot <= until``, at most ``cap``."""
        total = 0
        for period in onward(self._zone, after, until):
            if period.start > after and self._shifted(period):
                total += 1
            low, high = self._minutes(period, after, until)
            total += self._count_minutes(low, high, cap - total)
            if total >= cap:
                return cap
        return total

    def excepted(self, slot: float) -> str | None:
        """Return the name of the first calendar of ``except`` that contains ``slot``; None if there is none."""
        return next((name for name, period in self._excepted if period.contains(slot)), None)

    def clock_change(self, slot: float, after: float) -> str:
        """Return in words what changes of the clock do to ``slot``, and to slots since ``after``; empty if nothing."""
        periods = [p for p in onward(self._zone, max(after, slot - _CHANGES), slot) if p.start > after]
        gaps = [self._gap(period, slot) for period in periods]
        current, following = islice(onward(self._zone, slot, slot + _CHANGES), 2)
        shown = slot + current.offset
        if shown < current.seen:
            gaps.append(f"the clock shows {_wall(shown)[11:]} for the second time")
        elif following.start + following.offset <= shown < following.seen:
            second = "both have a slot" if self._repeats else "only this first one has a slot (dst.repeated: first)"
            gaps.append(f"the clock shows {_wall(shown)[11:]} twice that day: {second}")
        return "; ".join(filter(None, gaps))

    def _gap(self, period: OffsetPeriod, slot: float) -> str:
        """Return what skipped times at the start of a period do; empty if the schedule has no slot in them."""
        start = period.start + period.offset
        missing = self._minute_from(_ceil(period.seen), _ceil(start)) if start > period.seen else None
        if missing is None or self._crontab.wild:
            return ""
        gone = (
            f"there is no {_wall(missing * 60)[11:]} on {_wall(start)[:10]}: the clock goes on at {_wall(start)[11:]}"
        )
        if not self._shifts:
            return f"{gone}, and that day has no slot for it (dst.missing: skip)"
        return f"{gone}, where the slot is (dst.missing: shift)" if slot == period.start else ""

    def _walk(self, after: float, until: float) -> Iterator[float]:
        for period in onward(self._zone, after, until):
            if period.start > after and self._shifted(period):
                yield float(period.start)
            low, high = self._minutes(period, after, until)
            minute = self._minute_from(low, high)
            while minute is not None:
                yield float(minute * 60 - period.offset)
                minute = self._minute_from(minute + 1, high)

    def _minutes(self, period: OffsetPeriod, after: float, until: float) -> tuple[int, int]:
        """Return the range of wall-clock minutes (since 1970-01-01 00:00, end excluded) that may have slots."""
        start = period.start + period.offset
        first = _ceil(start if self._repeats else max(start, period.seen))
        if after >= period.start:
            first = max(first, int((after + period.offset) // 60) + 1)
        end = _ceil(period.end + period.offset)
        return first, min(end, int((until + period.offset) // 60) + 1) if until < period.end else end

    def _shifted(self, period: OffsetPeriod) -> bool:
        """Whether skipped times add a slot at the start of the period that is no slot otherwise."""
        start = period.start + period.offset
        if not self._shifts or start <= period.seen:
            return False
        skipped = self._minute_from(_ceil(period.seen), _ceil(start)) is not None
        return skipped and (start % 60 != 0 or self._minute_from(start // 60, start // 60 + 1) is None)

    def _minute_from(self, minute: int, end: int) -> int | None:
        """Return the first matching minute with ``minute <= it < end``."""
        last = (end - 1) // MINUTES
        day = self._crontab.day_from(minute // MINUTES, last)
        while day is not None:
            times = self._crontab.times >> max(minute - day * MINUTES, 0)
            if times:
                found = max(minute, day * MINUTES) + lowest(times)
                return found if found < end else None
            day = self._crontab.day_from(day + 1, last)
        return None

    def _minute_to(self, minute: int, low: int) -> int | None:
        """Return the last matching minute with ``minute >= it >= low``."""
        day = self._crontab.day_to(minute // MINUTES, low // MINUTES)
        while day is not None:
            times = self._crontab.times & ((1 << min(minute - day * MINUTES + 1, MINUTES)) - 1)
            if times:
                found = day * MINUTES + times.bit_length() - 1
                return found if found >= low else None
            day = self._crontab.day_to(day - 1, low // MINUTES)
        return None

    def _count_minutes(self, low: int, high: int, enough: int) -> int:
        """Count the matching minutes with ``low <= it < high``; stop soon after ``enough``."""
        total, last = 0, (high - 1) // MINUTES
        day = self._crontab.day_from(low // MINUTES, last)
        while day is not None and total < enough:
            times = self._crontab.times & ((1 << min(high - day * MINUTES, MINUTES)) - 1)
            total += (times >> max(low - day * MINUTES, 0)).bit_count()
            day = self._crontab.day_from(day + 1, last)
        return total


def jitter(seed: str, slot: float, spread: float) -> float:
    """Return seconds in ``[0, spread)``: a hash of both, equal on each replica and after a restart."""
    digest = blake2b(f"{seed}\n{slot:.3f}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48 * spread


def _wall(shown: float) -> str:
    """Return a time of the wall clock, in seconds, as `2027-03-28 02:30`."""
    return within(shown).strftime("%Y-%m-%d %H:%M")


def _ceil(seconds: int) -> int:
    return -(-seconds // 60)


def _period(name: str, calendars: Mapping[str, Calendar]) -> Period:
    if name not in calendars:
        known = ", ".join(sorted(calendars)) or "none yet"
        raise ValueError(f"unknown calendar {name!r} in except: add it under `calendars:` (there: {known})")
    return period_of(calendars[name])
