"""Times as text, and back."""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST = datetime(1, 1, 1, tzinfo=UTC).timestamp()
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()


def within(at: float) -> datetime:
    """Epoch seconds as a datetime in UTC; times beyond the calendar become its first or last moment."""
    return datetime.fromtimestamp(min(max(at, _FIRST), _LAST), UTC)


def rfc3339(at: float) -> str:
    """Epoch seconds as RFC 3339 in UTC, with milliseconds; limited to the years 1970 to 9999."""
    moment = datetime.fromtimestamp(min(max(at, 0.0), _LAST), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: float | None) -> str:
    """Epoch seconds as RFC 3339 in UTC, without the fraction of a second; limited to the calendar. Empty for None."""
    return "" if at is None else within(at).isoformat(timespec="seconds").replace("+00:00", "Z")


def epoch(text: str) -> float:
    """RFC 3339 as epoch seconds. Raise ValueError."""
    return datetime.fromisoformat(text.upper()).timestamp()
