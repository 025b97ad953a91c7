"""Periodic jobs of the daemon: APScheduler triggers them, and each runs in its own thread."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from retrainer.store.base import StoreError
from retrainer.util.supervision import LONGEST_WAIT, Worker, beat, clamp, join_all

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()

LONGEST = 366 * 86400.0
"""Maximum seconds between two calls: APScheduler cannot compute beyond the year 9999."""
LATE = 2.0
"""Intervals without a trigger after which a job runs all the same: the scheduler's thread may be dead."""


class Timer:
    """Runs `job` when woken, at the latest after `LATE` times ``seconds``. Its exceptions are logged."""

    def __init__(self, name: str, seconds: float, job: Callable[[], object]) -> None:
        self.name = name
        self.seconds = seconds
        self._job = job
        self._wake = threading.Event()
        self._stopping = False
        self._worker = Worker("timer", self._run, lambda: self._stopping, name=f"timer-{name}", owner=name)

    def start(self) -> None:
        self._worker.start()

    def wake(self) -> None:
        """Run the job now. Never blocks."""
        self._wake.set()

    def end(self) -> Worker:
        """Request its end, without waiting for a job in progress. Return its thread."""
        self._stopping = True
        self._wake.set()
        return self._worker

    def _run(self) -> None:
        while self._await():
            beat()
            try:
                self._job()
            except StoreError:  # the engine and the lead log that, once
                log.debug("timer.skipped", job=self.name)
            except Exception:
                log.exception("timer.failed", job=self.name)

    def _await(self) -> bool:
        """Wait until the job is due. Return False at the end."""
        left = LATE * self.seconds
        while not self._stopping and left > 0:
            beat(step := clamp(left))
            left -= step
            if self._wake.wait(step):
                self._wake.clear()
                break
        return not self._stopping


class Timers:
    """All timers of a daemon."""

    def __init__(self) -> None:
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._timers: dict[str, Timer] = {}

    def every(self, name: str, seconds: float, job: Callable[[], object]) -> None:
        """Add a timer. It begins with `start`."""
        timer = self._timers[name] = Timer(name, seconds, job)
        self._scheduler.add_job(timer.wake, "interval", seconds=min(seconds, LONGEST), coalesce=True)

    def once(self, name: str, job: Callable[[], object]) -> None:
        """Run `job` once, right after `start`, without blocking `start`."""
        timer = self._timers[name] = Timer(name, math.inf, job)
        self._scheduler.add_job(timer.wake, misfire_grace_time=None)

    def start(self) -> None:
        for timer in self._timers.values():
            timer.start()
        self._scheduler.start()

    def wake(self, name: str) -> None:
        """Run the job of that name now."""
        self._timers[name].wake()

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Return once no job is running; those that have not ended within ``within`` seconds are left behind."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        join_all([timer.end() for timer in self._timers.values()], within)
