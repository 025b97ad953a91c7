"""A direct implementation of docs/reference/schedules.md: it checks each minute of UTC in order.

It shares no code with the package: the parser and the handling of gaps and repeated hours are separate.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
NAMES = {
    "month": {name: i + 1 for i, name in enumerate(MONTHS)},
    "weekday": {name: i for i, name in enumerate(WEEKDAYS)},
}
LIMITS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}


class Wall(NamedTuple):
    """A minute of local time."""

    minute: int
    hour: int
    day: int
    month: int
    weekday: int  # 0 is Sunday


class Minute(NamedTuple):
    """A minute of UTC: start, local time, whether that is repeated, and the local minutes skipped just before."""

    epoch: float
    wall: Wall
    again: bool
    skipped: list[Wall]


def minutes(zone: ZoneInfo, first: datetime, count: int) -> list[Minute]:
    """Return ``count`` minutes of UTC from ``first``."""
    found = []
    before = (first - timedelta(minutes=1)).astimezone(zone)
    for i in range(count):
        utc = first + timedelta(minutes=i)
        local = utc.astimezone(zone)
        skipped = []
        missing = before.replace(tzinfo=None) + timedelta(minutes=1)
        while missing < local.replace(tzinfo=None):
            skipped.append(_wall(missing))
            missing += timedelta(minutes=1)
        found.append(Minute(utc.timestamp(), _wall(local), local.fold == 1, skipped))
        before = local
    return found


def _wall(local: datetime) -> Wall:
    return Wall(local.minute, local.hour, local.day, local.month, local.isoweekday() % 7)


class Oracle:
    def __init__(self, expression: str) -> None:
        texts = expression.split()
        self.sets = [values(kind, text) for kind, text in zip(LIMITS, texts, strict=True)]
        self.either = not texts[2].startswith("*") and not texts[4].startswith("*")
        self.wildcard = texts[0].startswith("*") or texts[1].startswith("*")

    def slots(self, walk: list[Minute], missing: str, repeated: str) -> list[float]:
        return [minute.epoch for minute in walk if self._due(minute, missing, repeated)]

    def _due(self, minute: Minute, missing: str, repeated: str) -> bool:
        if self.wildcard:
            return self.matches(minute.wall)
        if missing == "shift" and any(self.matches(wall) for wall in minute.skipped):
            return True
        return self.matches(minute.wall) and (not minute.again or repeated == "both")

    def matches(self, wall: Wall) -> bool:
        minute, hour, days, months, weekdays = self.sets
        if wall.minute not in minute or wall.hour not in hour or wall.month not in months:
            return False
        day, weekday = wall.day in days, wall.weekday in weekdays
        return day or weekday if self.either else day and weekday


def values(kind: str, text: str) -> set[int]:
    found: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        low, high = LIMITS[kind]
        if span != "*":
            first, dash, last = span.partition("-")
            low = _value(kind, first)
            high = _value(kind, last) if dash else high if step else low
        found |= set(range(low, high + 1, int(step or 1)))
    return {value % 7 for value in found} if kind == "weekday" else found


def _value(kind: str, text: str) -> int:
    return NAMES.get(kind, {}).get(text) if text in NAMES.get(kind, {}) else int(text)
