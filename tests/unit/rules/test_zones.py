from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from retrainer.rules.zones import backward, onward

EARLY, LATE = 0.0, 2_145_916_800.0  # 1970 to 2038


@pytest.mark.parametrize(
    "zone",
    ["UTC", "Europe/Berlin", "America/Havana", "Pacific/Apia", "Australia/Lord_Howe", "Africa/Tunis", "Asia/Amman"],
)
def test_stretches_tile_the_time_and_remember_what_the_wall_clock_has_shown(zone: str) -> None:
    found = list(onward(ZoneInfo(zone), EARLY, LATE))
    seen = found[0].seen
    for period, following in pairwise(found):
        seen = max(seen, period.end + period.offset)
        assert following.start == period.end
        assert following.seen == seen
    assert found[0].start <= EARLY < LATE < found[-1].end
    assert list(backward(ZoneInfo(zone), LATE, EARLY)) == found[::-1]
