"""What the daemon does at intervals, each on a thread of its own: one that is slow delays no other."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

import structlog

from retrainer.store.base import StoreError
from retrainer.supervisor import Worker, beat, clamp

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()


class Timer:
    """Calls `job` every ``seconds``, first after ``first`` seconds. What it raises is logged."""

    def __init__(self, name: str, seconds: float, job: Callable[[], object], *, first: float | None = None) -> None:
        self.name = name
        self._seconds, self._job = seconds, job
        self._left = seconds if first is None else first
        self._wake = threading.Event()
        self._stopping = False
        self._worker = Worker("timer", self._run, lambda: self._stopping, name=f"timer-{name}", owner=name)

    def start(self) -> None:
        self._worker.start()

    def wake(self) -> None:
        """Call the job now. Never blocks."""
        self._left = 0.0
        self._wake.set()

    def stop(self) -> None:
        """Return once the job that is under way has ended."""
        self._stopping = True
        self._wake.set()
        if self._worker.is_alive():
            self._worker.join()

    def _run(self) -> None:
        while self._await():
            self._left = self._seconds
            beat()
            try:
                self._job()
            except StoreError:  # the engine and the keeper of the lead say so, once
                log.debug("timer.skipped", job=self.name)
            except Exception:
                log.exception("timer.failed", job=self.name)

    def _await(self) -> bool:
        """Wait until the job is due; false at the end."""
        while not self._stopping and self._left > 0:
            beat(step := clamp(self._left))
            self._left -= step
            if self._wake.wait(step):
                self._wake.clear()
        return not self._stopping


class Timers:
    """All timers of a daemon."""

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}

    def every(self, name: str, seconds: float, job: Callable[[], object]) -> None:
        """Add a timer; it begins with `start`."""
        self._timers[name] = Timer(name, seconds, job)

    def once(self, name: str, job: Callable[[], object]) -> None:
        """Call `job` once, right after `start`, without keeping `start` waiting."""
        self._timers[name] = Timer(name, math.inf, job, first=0.0)

    def start(self) -> None:
        for timer in self._timers.values():
            timer.start()

    def wake(self, name: str) -> None:
        """Call the job of that name now."""
        self._timers[name].wake()

    def stop(self) -> None:
        """Return once no job is under way."""
        for timer in self._timers.values():
            timer.stop()
