"""A crontab(5) expression as bit sets: the matching days of a month, and the matching minutes of such a day."""

from __future__ import annotations

import re
from calendar import month_name, monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

from retrainer.rules.cron_dialects import command_in, crontab_hint
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Iterable

EPOCH = date(1970, 1, 1).toordinal()
MINUTES = 1440
_LEAP_YEAR = 2024
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = {
    "minute": "0-59",
    "hour": "0-23",
    "day of month": "1-31",
    "month": "1-12 or jan-dec",
    "day of week": "0-7 (0 and 7 are Sunday) or sun-sat; a range up to Sunday ends in 7, as in fri-7",
}
_TERM = re.compile(r"(\*|([0-9]+|[a-z]{3})(-([0-9]+|[a-z]{3}))?)(/[0-9]+)?", re.IGNORECASE | re.ASCII)
_RANGE_OF_ONE = re.compile(r"(\w+)-\1/.*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Crontab:
    """``times`` has one bit for each minute of the day, set if it matches."""

    times: int
    months: frozenset[int]
    month_days: int
    week_days: tuple[int, ...]  # days of a month that match, by the weekday (0 is Monday) of its first day
    both: bool  # whether a day must match both day fields, or one of them
    wild: bool  # minute or hour starts with a star: follows the wall clock, as Debian cron does

    def days(self, year: int, month: int) -> int:
        """Return a bit for each day of this month that matches; bit 0 is the first."""
        if month not in self.months:
            return 0
        first, length = monthrange(year, month)
        week_days = self.week_days[first]
        days = self.month_days & week_days if self.both else self.month_days | week_days
        return days & ((1 << length) - 1)

    def day_from(self, day: int, until: int) -> int | None:
        """Return the first matching day with ``day <= it <= until``, in days since 1970-01-01."""
        while day <= until:
            when = date.fromordinal(EPOCH + day)
            days = self.days(when.year, when.month) >> (when.day - 1)
            if days:
                found = day + lowest(days)
                return found if found <= until else None
            day += monthrange(when.year, when.month)[1] - when.day + 1
        return None

    def day_to(self, day: int, until: int) -> int | None:
        """Return the last matching day with ``day >= it >= until``, in days since 1970-01-01."""
        while day >= until:
            when = date.fromordinal(EPOCH + day)
            days = self.days(when.year, when.month) & ((1 << when.day) - 1)
            if days:
                found = day - when.day + days.bit_length()
                return found if found >= until else None
            day -= when.day
        return None


def lowest(bits: int) -> int:
    """Return the index of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


@lru_cache(maxsize=16384)
def parse(text: str) -> Crontab:
    """Parse an expression. Raise ValueError with the field and a correction."""
    fields = _fields(text)
    try:
        sim = CronSim(" ".join(fields), datetime.fromtimestamp(0, UTC))
    except CronSimError:
        raise ValueError(_complaint(text, fields)) from None
    minutes, hours, days, _, weekdays = fields
    return Crontab(
        times=_bits(60 * hour + minute for hour in sim.hours for minute in sim.minutes),
        months=frozenset(sim.months),
        month_days=_bits(day - 1 for day in sim.days),
        week_days=tuple(_week_days(first, {(int(day) + 6) % 7 for day in sim.weekdays}) for first in range(7)),  # type: ignore[arg-type]
        both=days.startswith("*") or weekdays.startswith("*"),
        wild=minutes.startswith("*") or hours.startswith("*"),
    )


def _fields(text: str) -> list[str]:
    stripped = text.strip()
    if stripped.startswith("@"):
        if stripped not in _MACROS:
            if stripped.lower() == "@reboot":
                raise ValueError('a schedule has times, and cron\'s @reboot is none: write a time, such as "@daily"')
            hint = crontab_hint(stripped) or f"write five fields, or one of {' '.join(_MACROS)}"
            raise ValueError(f"unknown cron name {stripped!r}: {hint}")
        stripped = _MACROS[stripped]
    fields = stripped.split()
    if fields and "TZ=" in fields[0]:
        zone = fields[0].partition("=")[2]
        raise ValueError(f'bad cron {text!r}: write "{" ".join(fields[1:])}" here and {zone} as `timezone`')
    if len(fields) != len(_FIELDS):
        if command := command_in(fields):
            run = "what runs is written under `submit`"
            raise ValueError(f"bad cron {text!r}, {command!r} is a command and {run}: {crontab_hint(text)}")
        seconds = ", and none for seconds" if len(fields) == len(_FIELDS) + 1 else ""
        needed = (
            f"it has {many(len(fields), 'field')} and needs minute, hour, day of month, month and day of week{seconds}"
        )
        raise ValueError(f"bad cron {text!r}, {needed}: {crontab_hint(text) or 'write five fields'}")
    for name, field in zip(_FIELDS, fields, strict=True):
        for term in field.split(","):
            _check(text, name, term)
    return fields


def _check(text: str, name: str, term: str) -> None:
    """Reject terms beyond crontab(5), and the one term that cronsim reads differently (``3-3/2`` as ``3/2``)."""
    if not _TERM.fullmatch(term):
        forms = "a step such as */2 or 1-9/2, or several of them with commas and no spaces between"
        hint = crontab_hint(text) or f"write *, a value, a range such as 1-5, {forms}"
        raise ValueError(f"bad {name} {term!r} in cron {text!r}: {hint}")
    if _RANGE_OF_ONE.fullmatch(term):
        value = term.partition("-")[0]
        raise ValueError(f"bad {name} {term!r} in cron {text!r}: a step needs more than one value; write {value}")


def _complaint(text: str, fields: list[str]) -> str:
    """Find the invalid field by trying each alone; if all are valid, the combination never occurs."""
    for position, (name, allowed) in enumerate(_FIELDS.items()):
        alone = ["*"] * len(fields)
        alone[position] = fields[position]
        try:
            CronSim(" ".join(alone), datetime.fromtimestamp(0, UTC))
        except CronSimError:
            given = f"bad {name} {fields[position]!r} in cron {text!r}"
            return f"{given}, which takes {allowed}: {crontab_hint(text) or _range_hint(fields[position], allowed)}"
    return _never(text, fields)


def _never(text: str, fields: list[str]) -> str:
    """No month of the expression is as long as its days ask for."""
    months = CronSim(f"* * * {fields[3]} *", datetime.fromtimestamp(0, UTC)).months
    last = max(monthrange(_LEAP_YEAR, int(month))[1] for month in months)
    named = ", ".join(month_name[int(month)] for month in sorted(months))
    none_of = f"{named} never" if len(months) == 1 else f"none of {named}"
    example = " ".join((*fields[:2], str(min(last, 28)), *fields[3:]))
    return (
        f"cron {text!r} never fires, as {none_of} has a day {fields[2]}: "
        f'write a day of at most {last}, or another month, such as "{example}"'
    )


def _range_hint(field: str, allowed: str) -> str:
    """What to write in a field whose numbers are too large, whose range goes downwards or whose step is 0."""
    low, high = re.findall(r"[0-9]+", allowed)[:2]
    if any(not int(low) <= int(number) <= int(high) for number in re.findall(r"(?<!/)\b[0-9]{1,9}", field)):
        return f"write one from {low} to {high}"
    return "a range goes upwards, a step is 1 or more"


def _bits(indices: Iterable[int]) -> int:
    bits = 0
    for index in indices:
        bits |= 1 << index
    return bits


def _week_days(first: int, weekdays: set[int]) -> int:
    return _bits(day for day in range(31) if (first + day) % 7 in weekdays)
