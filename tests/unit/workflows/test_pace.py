from retrainer.simulate.world import HandClock
from retrainer.workflows.pace import LONGEST_PAUSE, Pace


def test_a_single_failure_changes_nothing() -> None:
    pace = Pace(16, HandClock(1000.0))
    pace.failed()
    assert pace.allowed() == 16


def test_a_server_that_is_down_is_asked_less_and_less_and_healing_drains_it_slowly_at_first() -> None:
    clock = HandClock(1000.0)
    pace = Pace(16, clock)
    pauses = []
    for _ in range(12):
        pace.failed()
        before = clock.time
        while pace.allowed() == 0:
            clock.time += 0.25
        pauses.append(clock.time - before)
    assert pauses[:5] == [0, 0, 0.5, 1, 2]
    assert pauses[-1] == LONGEST_PAUSE
    widths = []
    for _ in range(6):
        widths.append(pace.allowed())
        pace.succeeded()
    assert widths == [1, 2, 4, 8, 16, 16]


def test_the_servers_own_wish_counts_at_once() -> None:
    clock = HandClock(1000.0)
    pace = Pace(16, clock)
    pace.failed(7.0)
    assert pace.allowed() == 0
    clock.time += 7.0
    assert pace.allowed() == 16
