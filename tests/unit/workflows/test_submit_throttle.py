from retrainer.simulate.world import ManualClock
from retrainer.workflows.submit_throttle import LONGEST_PAUSE, SubmitThrottle


def test_a_single_failure_changes_nothing() -> None:
    throttle = SubmitThrottle(16, ManualClock(1000.0))
    throttle.failed()
    assert throttle.allowed() == 16


def test_a_server_that_is_down_is_asked_less_and_less_and_healing_drains_it_slowly_at_first() -> None:
    clock = ManualClock(1000.0)
    throttle = SubmitThrottle(16, clock)
    pauses = []
    for _ in range(12):
        throttle.failed()
        before = clock.time
        while throttle.allowed() == 0:
            clock.time += 0.25
        pauses.append(clock.time - before)
    assert pauses[:5] == [0, 0, 0.5, 1, 2]
    assert pauses[-1] == LONGEST_PAUSE
    widths = []
    for _ in range(6):
        widths.append(throttle.allowed())
        throttle.succeeded()
    assert widths == [1, 2, 4, 8, 16, 16]


def test_the_servers_own_wish_counts_at_once() -> None:
    clock = ManualClock(1000.0)
    throttle = SubmitThrottle(16, clock)
    throttle.failed(7.0)
    assert throttle.allowed() == 0
    clock.time += 7.0
    assert throttle.allowed() == 16
