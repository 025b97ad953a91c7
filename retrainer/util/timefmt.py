"""Moments as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def within(at: float) -> datetime:
    """Seconds since the epoch as a moment in UTC; beyond the calendar, its nearest end."""
    return datetime.fromtimestamp(min(max(at, _FIRST), _LAST), UTC)


def rfc3339(at: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC, with milliseconds; beyond the calendar, its nearest end."""
    moment = datetime.fromtimestamp(min(max(at, 0.0), _LAST), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
