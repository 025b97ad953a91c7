"""A change of the machine's clock is detected and reported."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from retrainer.daemon.clock_watch import ClockWatch
from retrainer.util.clock import ClockSample, SystemClock, stepped

START = ClockSample(wall=1_800_000_000.0, monotonic=50.0)


@pytest.mark.parametrize(
    ("wall", "elapsed", "step"),
    [
        pytest.param(60.0, 60.0, 0.0, id="it runs"),
        pytest.param(60.4, 60.0, 0.0, id="it is slewed"),
        pytest.param(7260.0, 60.0, 7200.0, id="set two hours ahead"),
        pytest.param(-7140.0, 60.0, -7200.0, id="set two hours back"),
        pytest.param(-1.0, 0.5, 0.0, id="set back by a second"),
        pytest.param(3600.0, 1.0, 3599.0, id="the machine slept for an hour"),
        pytest.param(0.0, 0.0, 0.0, id="no time has passed"),
    ],
)
def test_a_step_is_what_the_one_clock_made_and_the_other_did_not(wall: float, elapsed: float, step: float) -> None:
    after = ClockSample(START.wall + wall, START.monotonic + elapsed)
    assert stepped(START, after) == pytest.approx(step)


class Machine(SystemClock):
    set_by = 0.0

    def wall(self) -> float:
        return super().wall() + self.set_by


def test_it_is_said_once_and_our_time_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, looks = Machine(), list[tuple[float, bool]]()
    watch = ClockWatch(machine, lambda ahead, stepped: looks.append((round(ahead), stepped)))
    before = machine.now()
    watch.look()
    machine.set_by = 7200.0
    with capture_logs() as said:
        watch.look()
        watch.look()
    assert [(line["event"], line["seconds"]) for line in said] == [("clock.stepped", 7200.0)]
    assert looks == [(0, False), (7200, True), (7200, False)]
    assert machine.now() - before < 7200
