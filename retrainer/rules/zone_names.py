"""Suggestions for invalid time zone names."""

from __future__ import annotations

import re
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

_PLACES = """
America/New_York America/Chicago America/Denver America/Phoenix America/Los_Angeles America/Anchorage Pacific/Honolulu
America/Halifax America/St_Johns Asia/Kolkata Europe/London Europe/Dublin Europe/Lisbon Europe/Berlin Europe/Athens
Europe/Moscow Africa/Lagos Africa/Johannesburg Africa/Nairobi Asia/Jerusalem Asia/Karachi Asia/Jakarta
Asia/Shanghai Asia/Hong_Kong Asia/Manila Asia/Tokyo Asia/Seoul Australia/Perth Australia/Adelaide Australia/Sydney
Pacific/Auckland America/Havana
"""
"""For each abbreviation in use, the places with the most people, the best known first."""
_OFFSET = re.compile(r"(?:GMT|UTC|Z)?\s*([+-])\s*(\d{1,2})(?::?(\d\d))?", re.IGNORECASE)
_LETTERS = re.compile(r"([A-Za-z]{3,5})[-+]?\d{0,2}(?:[A-Za-z]{3,5})?")
_WINTER, _SUMMER = 1_736_942_400, 1_752_580_800
_HOURS = range(1, 13)


def meant(name: str) -> str:
    """Return what to write instead of a name that is not an IANA zone."""
    name = name[:100]
    return _of_offset(name) or _of_abbreviation(name) or _alike(name)


def _of_offset(name: str) -> str:
    """Explain the sign: the names under Etc/ have the opposite sign of what most people expect."""
    found = _OFFSET.fullmatch(name)
    if found is None or int(found[2]) not in _HOURS or found[3] not in (None, "00"):
        return "write the place's IANA name, such as Asia/Kolkata, which has an offset of its own" if found else ""
    hours, east = int(found[2]), found[1] == "+"
    sign, side, other, turned = ("-", "east", "west", "+") if east else ("+", "west", "east", "-")
    return (
        f"write the place's IANA name, such as Europe/Berlin; or Etc/GMT{sign}{hours}, which is {hours} h {side} of "
        f"Greenwich (Etc/GMT{turned}{hours} is {hours} h {other} of it)"
    )


def _of_abbreviation(name: str) -> str:
    found = _LETTERS.fullmatch(name)
    places = _places(found[1].upper()) if found and found[1].upper() not in ("GMT", "UTC") else []
    return f"it is an abbreviation and no zone: write {' or '.join(places)}" if found and places else ""


@lru_cache(maxsize=256)
def _places(abbreviation: str) -> list[str]:
    def names(place: str) -> set[str | None]:
        zone = ZoneInfo(place)
        return {datetime.fromtimestamp(moment, zone).tzname() for moment in (_WINTER, _SUMMER)}

    return [place for place in _PLACES.split() if place in available_timezones() and abbreviation in names(place)]


def _alike(name: str) -> str:
    near = get_close_matches(
        name, sorted(zone for zone in available_timezones() if "/" in zone and not zone.startswith("Etc/")), n=3
    )
    return f"did you mean {' or '.join(near)}?" if near else "write an IANA name such as Europe/Berlin or UTC"
