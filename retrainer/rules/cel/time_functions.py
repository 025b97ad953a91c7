"""Functions of timestamps and durations. With a time zone, the fields are those of its wall clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.cel.function import MOMENT, TEXT, Function
from retrainer.rules.cel.values import charge, shown
from retrainer.rules.zone_names import meant
from retrainer.rules.zones import find_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from zoneinfo import ZoneInfo

    from retrainer.rules.cel.frame import Frame

_SECOND = timedelta(seconds=1)
_IN_ZONE = 30
"""Steps for a look-up in the rules of a time zone."""
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_DIRECTIVES: Mapping[str, Callable[[datetime], str]] = {
    "Y": lambda at: f"{at.year:04}",
    "m": lambda at: f"{at.month:02}",
    "d": lambda at: f"{at.day:02}",
    "H": lambda at: f"{at.hour:02}",
    "M": lambda at: f"{at.minute:02}",
    "S": lambda at: f"{at.second:02}",
    "j": lambda at: f"{at.timetuple().tm_yday:03}",
    "G": lambda at: f"{at.isocalendar().year:04}",
    "V": lambda at: f"{at.isocalendar().week:02}",
    "u": lambda at: str(at.isoweekday()),
    "%": lambda _at: "%",
}
_LONGEST_PATTERN = 200
_UNITS = ("minute", "hour", "day", "week", "month", "year")


def moment_pattern(pattern: str) -> str:
    """Check a pattern of `strftime`. Return it. Raise ExpressionError for an unknown directive or a long pattern."""
    odd = next((one for one in _DIRECTIVE.findall(pattern) if one not in _DIRECTIVES), None)
    if odd is not None or len(pattern) > _LONGEST_PATTERN:
        known = ", ".join(f"%{letter}" for letter in _DIRECTIVES)
        raise ExpressionError(f"{shown(pattern)} is no pattern of a time: {known} are known")
    return pattern


def time_unit(unit: str) -> int:
    """Return the place of a unit of `truncate` among them. Raise ExpressionError for an unknown one."""
    if unit not in _UNITS:
        raise ExpressionError(f"`truncate` has no {shown(unit)}: write one of {', '.join(_UNITS)}")
    return _UNITS.index(unit)


@lru_cache(maxsize=256)
def time_zone(name: str) -> ZoneInfo:
    """Return a time zone. Raise ExpressionError for a name that is none."""
    zone = find_zone(name)
    if zone is None:
        raise ExpressionError(f"unknown time zone {shown(name)}: {meant(name)}")
    return zone


def _there(frame: Frame, at: datetime, zone: str | None) -> datetime:
    if zone is None:
        return at.astimezone(UTC)
    charge(frame, _IN_ZONE)
    try:
        return at.astimezone(time_zone(zone))
    except OverflowError:
        raise ExpressionError("a timestamp beyond the calendar") from None


def _strftime(frame: Frame, at: datetime, pattern: str, zone: str | None = None) -> str:
    local = _there(frame, at, zone)
    charge(frame, 4 * pattern.count("%"))
    return _DIRECTIVE.sub(lambda found: _DIRECTIVES[found[1]](local), moment_pattern(pattern))


def _truncate(frame: Frame, at: datetime, unit: str, zone: str | None = None) -> datetime:
    """The start of the minute, hour, day, ISO week, month or year."""
    size = time_unit(unit)
    local = _there(frame, at, zone).replace(second=0, microsecond=0)
    if size >= _UNITS.index("hour"):
        local = local.replace(minute=0)
    if size >= _UNITS.index("day"):
        local = local.replace(hour=0, fold=0)
    if unit == "week":
        return _utc(lambda: local - timedelta(days=local.weekday()))
    if size >= _UNITS.index("month"):
        local = local.replace(day=1, month=1 if unit == "year" else local.month)
    return _utc(lambda: local)


def _utc(work: Callable[[], datetime]) -> datetime:
    try:
        return work().astimezone(UTC)
    except OverflowError:
        raise ExpressionError("a timestamp beyond the calendar") from None


def _of_moment(read: Callable[[datetime], int]) -> Function:
    def work(frame: Frame, at: datetime, zone: str | None = None) -> int:
        return read(_there(frame, at, zone))

    return Function((MOMENT, TEXT), "int", work, cost=4, optional=1)


def _of_both(read: Callable[[datetime], int], unit: timedelta, within: timedelta | None = None) -> Function:
    """A field of a moment, or a whole duration in ``unit``, truncated towards zero, modulo ``within`` if given."""

    def work(frame: Frame, of: Any, zone: str | None = None) -> int:
        if isinstance(of, datetime):
            return read(_there(frame, of, zone))
        size = abs(of) if within is None else abs(of) % within
        return int(size // unit) * (1 if of >= timedelta(0) else -1)

    return Function((MOMENT | {"duration"}, TEXT), "int", work, cost=4, optional=1)


TIME_FUNCTIONS: Mapping[str, Function] = {
    "getFullYear": _of_moment(lambda at: at.year),
    "getMonth": _of_moment(lambda at: at.month - 1),
    "getDate": _of_moment(lambda at: at.day),
    "getDayOfMonth": _of_moment(lambda at: at.day - 1),
    "getDayOfWeek": _of_moment(lambda at: at.isoweekday() % 7),
    "getDayOfYear": _of_moment(lambda at: at.timetuple().tm_yday - 1),
    "getHours": _of_both(lambda at: at.hour, timedelta(hours=1)),
    "getMinutes": _of_both(lambda at: at.minute, timedelta(minutes=1)),
    "getSeconds": _of_both(lambda at: at.second, timedelta(seconds=1)),
    "getMilliseconds": _of_both(lambda at: at.microsecond // 1000, timedelta(milliseconds=1), within=_SECOND),
    "strftime": Function((MOMENT, TEXT, TEXT), "text", _strftime, cost=10, optional=1),
    "truncate": Function((MOMENT, TEXT, TEXT), "moment", _truncate, cost=10, optional=1),
}
