from __future__ import annotations

import pytest

from retrainer.config.models import Backoff
from retrainer.runs.retry import grown, wait

HOUR = 3600.0


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [
        pytest.param(1, 60.0, id="the first"),
        pytest.param(3, 240.0, id="each is twice as long"),
        pytest.param(7, HOUR, id="never longer than an hour"),
        pytest.param(101, HOUR, id="the last"),
    ],
)
def test_waits_grow_up_to_the_longest(attempt: int, seconds: float) -> None:
    assert wait(Backoff(), attempt) == seconds


@pytest.mark.parametrize("factor", [pytest.param(1e300, id="of long ago"), pytest.param(1000.0, id="the steepest")])
def test_what_no_number_can_hold_is_the_longest(factor: float) -> None:
    assert grown(60.0, factor, 5000, HOUR) == HOUR
