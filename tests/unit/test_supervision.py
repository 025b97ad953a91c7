"""Dead and hung threads are detected, and the consequence is that of their duty. The clock is manual."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.timers import Timers
from retrainer.util import failpoints, supervision
from retrainer.util.duties import DUTIES
from retrainer.util.supervision import TURN, Worker, beat, clamp, rest, take
from retrainer.util.supervisor import SLOW, TICK, NotNow, Supervisor
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.util.failpoints import Kind


class House:
    """A supervisor with a manual clock. ``ends`` has the messages with which the process would have exited."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.replaced: list[Worker] = []
        self.can_replace = True
        self.cannot: Exception | None = None
        self.stopping = threading.Event()
        self.supervisor = Supervisor(self._replace, patience=1.0)
        self.now = time.monotonic()
        self.made: list[Worker] = []
        supervision.arm(self.ends.append)

    def _replace(self, worker: Worker) -> bool:
        self.replaced.append(worker)
        if self.cannot is not None:
            raise self.cannot
        return self.can_replace

    def worker(self, kind: Kind, target: Callable[[], object]) -> Worker:
        made = Worker(kind, target, self.stopping.is_set, name=f"{kind}-of-a-test", owner="test")
        made.start()
        self.made.append(made)
        return made

    def worker_that_fails(self, kind: Kind, error: BaseException) -> tuple[Worker, Loop]:
        """A worker whose loop raises the error, after some turns."""
        loop = Loop(self)
        worker = self.worker(kind, loop)
        until(lambda: loop.turns > 2, "it works")
        loop.error = error
        return worker, loop

    def worker_that_hangs(self, kind: Kind, turn: int = 1) -> tuple[Worker, Loop]:
        """A worker that hangs in its own work, from that turn of its loop on."""
        failpoints.arm(kind, "hang", turn)
        loop = Loop(self)
        worker = self.worker(kind, loop)
        until(lambda: worker.where().startswith("retrainer.util.failpoints"), "it hangs")
        return worker, loop

    def pass_(self, seconds: float) -> None:
        """Advance the clock, with a check at each tick."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.supervisor.look(self.now)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(supervision, "_running", {})  # without the threads of another test's daemon
    made = House()
    yield made
    made.stopping.set()
    failpoints.disarm()
    supervision.disarm()
    for worker in made.made:
        worker.join(10)


class Loop:
    """A loop that beats, and fails as the test sets it."""

    def __init__(self, house: House) -> None:
        self.turns = 0
        self.error: BaseException | None = None
        self._house = house

    def __call__(self) -> None:
        while not self._house.stopping.is_set():
            beat()
            self.turns += 1
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            self._house.stopping.wait(0.01)


ERRORS = [
    pytest.param(OverflowError("timestamp too large"), id="an error of the loop itself"),
    pytest.param(SystemExit(1), id="an exit"),
    pytest.param(KeyboardInterrupt(), id="an interrupt"),
    pytest.param(MemoryError(), id="no memory"),
    pytest.param(failpoints.Fault("source"), id="an injected fault"),
]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", [kind for kind, duty in DUTIES.items() if duty.died == "restart"])
def test_a_thread_that_is_safe_to_restart_goes_on_after_any_error(
    house: House, kind: Kind, error: BaseException
) -> None:
    worker, loop = house.worker_that_fails(kind, error)
    until(lambda: worker.restarts == 1, "it is restarted")
    before = loop.turns
    until(lambda: loop.turns > before + 2, "it works again")
    assert not house.ends
    assert [seen.restarts for seen in house.supervisor.seen(house.now) if seen.name == worker.name] == [1]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("kind", [kind for kind, duty in DUTIES.items() if duty.died == "end"])
def test_the_process_ends_with_one_line_where_a_restart_is_not_safe(
    house: House, kind: Kind, error: BaseException
) -> None:
    worker, _ = house.worker_that_fails(kind, error)
    until(lambda: house.ends, "the process ends")
    (line,) = house.ends
    assert f"`{worker.name}`" in line
    assert type(error).__name__ in line
    assert "\n" not in line
    assert house.supervisor.stuck(worker).startswith(f"the thread {worker.name} died")


def test_a_thread_that_returns_without_being_asked_to_counts_as_dead(house: House) -> None:
    house.worker("engine", lambda: None)
    until(lambda: house.ends, "the process ends")
    assert "it returned without being asked to" in house.ends[0]


def test_a_thread_that_was_asked_to_end_ends(house: House) -> None:
    worker = house.worker("engine", Loop(house))
    house.stopping.set()
    worker.join(10)
    assert not worker.is_alive()
    assert not house.ends
    assert worker not in house.supervisor.workers


@pytest.mark.parametrize("kind", DUTIES)
def test_a_thread_that_hangs_is_replaced_or_ends_the_process(house: House, kind: Kind) -> None:
    worker, _ = house.worker_that_hangs(kind, turn=3)
    duty = DUTIES[kind]
    house.pass_(duty.silent_for)
    assert not house.ends
    assert not house.replaced
    house.pass_(duty.silent_for / 2)
    assert "hangs in its own work at retrainer.util.failpoints:" in house.supervisor.stuck(worker)
    house.pass_(duty.silent_for)
    if duty.hung == "replace":
        assert (house.replaced, house.ends) == ([worker], [])
        assert worker not in house.supervisor.workers
    else:
        assert len(house.ends) == 1
        assert f"`{worker.name}`" in house.ends[0]


@pytest.mark.parametrize("error", [None, KeyError("it is gone")])
def test_the_process_ends_if_a_source_that_hangs_cannot_be_replaced(house: House, error: Exception | None) -> None:
    house.can_replace, house.cannot = False, error
    failpoints.arm("source", "hang")
    house.worker("source", Loop(house))
    house.pass_(3 * DUTIES["source"].silent_for)
    assert len(house.ends) == 1


def test_a_source_that_hangs_while_rules_are_reloaded_is_replaced_later(house: House) -> None:
    house.cannot = NotNow()
    worker, _ = house.worker_that_hangs("source")
    house.pass_(3 * DUTIES["source"].silent_for)
    assert house.ends == []
    assert worker in house.supervisor.workers
    house.cannot = None
    house.pass_(TICK)
    assert house.ends == []
    assert worker not in house.supervisor.workers
    assert house.supervisor.replaced == {worker.name: 1}


@pytest.mark.parametrize("cannot", [None, KeyError("it is gone")])
def test_one_that_hangs_and_was_asked_to_end_is_left_behind(house: House, cannot: Exception | None) -> None:
    house.can_replace, house.cannot = False, cannot
    worker, _ = house.worker_that_hangs("source")
    house.stopping.set()
    house.pass_(3 * DUTIES["source"].silent_for)
    assert house.ends == []
    assert worker not in house.supervisor.workers
    assert house.supervisor.replaced == {}


def test_one_that_does_not_end_in_time_when_asked_to_is_left_behind(house: House) -> None:
    worker, _ = house.worker_that_hangs("source")
    worker.join(0.01)
    assert worker in house.supervisor.workers
    house.stopping.set()
    worker.join(0.01)
    assert worker not in house.supervisor.workers


def test_one_that_ends_while_it_cannot_be_replaced_is_gone(house: House) -> None:
    worker, _ = house.worker_that_hangs("source")

    def end_meanwhile(_: Worker) -> bool:
        house.stopping.set()
        failpoints.disarm()
        worker.join()
        raise NotNow

    house.supervisor = Supervisor(end_meanwhile, patience=1.0)
    house.pass_(3 * DUTIES["source"].silent_for)
    assert worker not in house.supervisor.workers
    assert house.ends == []


def test_one_that_goes_on_while_it_cannot_be_replaced_is_not_lost(house: House) -> None:
    worker, loop = house.worker_that_hangs("source")

    def go_on_meanwhile(_: Worker) -> bool:
        failpoints.disarm()
        loop.error = OSError("not now")
        until(lambda: worker.restarts == 1, "it is restarted")
        raise NotNow

    house.supervisor = Supervisor(go_on_meanwhile, patience=1.0)
    house.pass_(3 * DUTIES["source"].silent_for)
    before = loop.turns
    until(lambda: loop.turns > before, "it works")
    assert worker in house.supervisor.workers


def test_a_thread_that_waits_for_another_is_named_and_neither_stuck_nor_ended(house: House) -> None:
    answer: Future[None] = Future()
    worker = house.worker("follow", answer.result)
    until(lambda: worker.party() == "another thread", "it waits")
    house.pass_(1000)
    assert house.supervisor.waiting() == {worker.name: "another thread"}
    assert not house.supervisor.stuck(worker)
    assert not house.ends
    house.stopping.set()
    answer.set_result(None)
    worker.join(10)


def test_a_wait_that_was_announced_is_no_silence(house: House) -> None:
    def wait() -> None:
        beat(500)
        house.stopping.wait()

    worker = house.worker("claim", wait)
    until(lambda: worker.silence(house.now + 400) == 0, "it announced its wait")
    house.pass_(500)
    assert not house.supervisor.stuck(worker)
    house.pass_(3 * DUTIES["claim"].silent_for)
    assert house.ends


def test_a_process_that_was_frozen_does_not_take_its_threads_for_hung(house: House) -> None:
    worker = house.worker("engine", house.stopping.wait)
    house.supervisor.look(house.now)
    house.supervisor.look(house.now + 3600)
    assert not house.supervisor.stuck(worker)
    assert not house.ends


def test_each_kind_of_thread_has_a_duty_and_a_failpoint() -> None:
    assert set(DUTIES) <= failpoints.POINTS
    assert all(duty.does and duty.silent_for > 0 for duty in DUTIES.values())


def test_an_unknown_failpoint_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"there is no failpoint 'enigne': name one of .*engine"):
        failpoints.arm("enigne", "raise")


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        pytest.param(None, TURN, id="never"),
        pytest.param(0.5, 0.5, id="soon"),
        pytest.param(9.5e9, TURN, id="more than a wait may take"),
        pytest.param(float("inf"), TURN, id="infinitely long"),
    ],
)
def test_a_wait_is_clamped(seconds: float | None, step: float) -> None:
    assert clamp(seconds) == step


@pytest.mark.parametrize("seconds", [9.5e9, float("inf"), 1e300])
def test_a_rest_of_any_length_ends_with_its_event(house: House, seconds: float) -> None:
    ended: list[bool] = []
    house.worker("sweep", lambda: ended.append(rest(house.stopping, seconds)))
    house.stopping.set()
    until(lambda: ended == [True], "it ends")


def test_one_that_hangs_while_it_is_idle_is_seen_as_soon_as_one_that_hangs_in_its_work(house: House) -> None:
    waiting: SimpleQueue[None] = SimpleQueue()
    failpoints.arm("submit", "hang", 2)
    worker = house.worker("submit", lambda: take(waiting))
    until(lambda: worker.where().startswith("retrainer.util.failpoints"), "it hangs, with nothing to do")
    house.pass_(2 * worker.duty.silent_for + TURN + SLOW + 2 * TICK)
    waiting.put(None)
    (line,) = house.ends
    assert "hangs in its own work" in line


def test_a_timer_goes_on_after_its_job_failed_and_can_be_woken() -> None:
    calls: list[int] = []

    def job() -> None:
        calls.append(1)
        raise OSError("not now")

    timers = Timers()
    timers.every("job", 1e300, job)
    timers.start()
    for count in (1, 2, 3):
        timers.wake("job")
        until(lambda: len(calls) == count, "it is called")  # noqa: B023 - called at once
    timers.stop()


def test_what_is_done_once_is_done_once() -> None:
    calls: list[int] = []
    timers = Timers()
    timers.once("check", lambda: calls.append(1))
    timers.start()
    until(lambda: calls == [1], "it is called")
    timers.stop()
    assert calls == [1]
