from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from retrainer.rules.zone_names import meant
from retrainer.rules.zones import zone_of

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def offset(zone: str) -> timedelta | None:
    return NOON.astimezone(zone_of(zone)).utcoffset()


@pytest.mark.parametrize("hours", [*range(1, 13)])
@pytest.mark.parametrize("written", ["GMT+{}", "UTC+{}", "+{}", "gmt + {}", "UTC+{:02}:00", "GMT-{}", "-{:02}00"])
def test_an_offset_is_answered_with_the_zone_that_has_it(written: str, hours: int) -> None:
    """The names under Etc/ have the opposite sign."""
    hint = meant(written.format(hours))
    first = re.findall(r"Etc/GMT[+-]\d+", hint)[0]
    assert offset(first) == timedelta(hours=hours if "+" in written else -hours)
    assert f"{first}, which is {hours} h {'east' if '+' in written else 'west'} of Greenwich" in hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        pytest.param("PST", "write America/Los_Angeles or Asia/Manila", id="two places"),
        pytest.param("CEST", "write Europe/Berlin", id="summer"),
        pytest.param("EST5", "write America/New_York", id="as POSIX has it"),
        pytest.param("IST", "write Asia/Kolkata or Europe/Dublin or Asia/Jerusalem", id="three places"),
        pytest.param("cst", "write America/Chicago or Asia/Shanghai or America/Havana", id="in small letters"),
        pytest.param("Europe/Berln", "did you mean Europe/Berlin", id="misspelt"),
        pytest.param("GMT5", "write an IANA name such as Europe/Berlin or UTC", id="no sign"),
        pytest.param("UTC+5:30", "write the place's IANA name, such as Asia/Kolkata", id="half an hour"),
        pytest.param("GMT+99", "write the place's IANA name", id="more than a day"),
        pytest.param("nowhere" * 1000, "write an IANA name such as Europe/Berlin or UTC", id="without an end"),
    ],
)
def test_what_is_no_zone_is_answered_with_what_is_meant(written: str, hint: str) -> None:
    assert hint in meant(written)
    assert ": " not in hint
    with pytest.raises(ValueError, match=r"^unknown timezone") as caught:
        zone_of(written)
    assert len(str(caught.value)) < 400
