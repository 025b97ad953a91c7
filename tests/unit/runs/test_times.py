"""Times reported by a Workflow are used if they are plausible."""

from __future__ import annotations

import pytest

from retrainer.runs.times import believed, span

BORN, NOW = 1000.25, 1100.0


@pytest.mark.parametrize(
    ("told", "moment"),
    [
        pytest.param(None, None, id="nothing told"),
        pytest.param(1050.0, 1050.0, id="in between"),
        pytest.param(1000.0, BORN, id="second of the birth, without its fraction"),
        pytest.param(996.0, BORN, id="a clock that is slightly behind"),
        pytest.param(995.0, None, id="a clock that is far behind"),
        pytest.param(1104.0, NOW, id="a clock that is slightly ahead"),
        pytest.param(1106.0, None, id="a clock that is far ahead"),
        pytest.param(0.0, None, id="the epoch"),
        pytest.param(float("inf"), None, id="infinite"),
        pytest.param(float("nan"), None, id="no number"),
    ],
)
def test_a_moment_is_believed_if_it_can_be_so(told: float | None, moment: float | None) -> None:
    assert believed(told, BORN, NOW) == moment


@pytest.mark.parametrize(
    ("started", "finished", "expected"),
    [
        pytest.param(1010.0, 1012.0, (1010.0, 1012.0), id="seen late"),
        pytest.param(None, None, (None, NOW), id="it says nothing, so it ended when it was seen"),
        pytest.param(1010.0, None, (1010.0, NOW), id="no end"),
        pytest.param(1012.0, 1010.0, (1010.0, 1010.0), id="rounded to an end before its start"),
        pytest.param(1050.0, 1010.0, (None, 1010.0), id="a start long after the end"),
        pytest.param(-2600.0, -2500.0, (None, NOW), id="an hour behind"),
        pytest.param(4610.0, 4612.0, (None, NOW), id="an hour ahead"),
    ],
)
def test_start_and_end_of_a_run(
    started: float | None, finished: float | None, expected: tuple[float | None, float]
) -> None:
    assert span(started, finished, BORN, NOW) == expected
