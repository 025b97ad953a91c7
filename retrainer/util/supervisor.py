"""Finds the threads that hang, and replaces them or ends the process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from retrainer.util import supervision
from retrainer.util.supervision import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.util.supervision import Worker

log = structlog.get_logger()

TICK: Final = 1.0
"""Seconds between two checks. A longer gap counts as this much, so that a frozen process does not look hung."""
SLOW: Final = 5.0
"""Seconds of silence after which a worker that waits for another system is named in /readyz."""


@dataclass(frozen=True, slots=True)
class Seen:
    """State of a worker, for metrics. ``silence`` is in seconds, without announced waits."""

    name: str
    silence: float
    restarts: int
    stuck: bool


class NotNow(Exception):
    """A worker cannot be replaced at the moment."""


class Supervisor:
    """Supervises all workers of the process.

    `replace` starts a new worker for one that hangs, unless that was asked to stop; the old one is abandoned. It
    returns false if it cannot replace the worker, and raises `NotNow` to be called again later.
    """

    def __init__(self, replace: Callable[[Worker], bool], *, patience: float = PATIENCE) -> None:
        self.replaced: dict[str, int] = {}
        """Number of replacements by name of the worker."""
        self._replace = replace
        self._patience = patience
        """Factor for the times of `DUTIES`."""
        self._looked_at: float | None = None

    @property
    def workers(self) -> list[Worker]:
        return supervision.running()

    def look(self, now: float) -> None:
        """Find workers that hang, and act. Called every `TICK` seconds with the monotonic time."""
        gap = TICK if self._looked_at is None else min(now - self._looked_at, TICK)
        self._looked_at = now
        for worker in self.workers:
            self._judge(worker, now, gap)
            if worker.silent_for > 2 * self._patience * worker.duty.silent_for:
                self._hung(worker)

    def _judge(self, worker: Worker, now: float, gap: float) -> None:
        silence = worker.silence(now)
        if silence <= min(SLOW, self._patience * worker.duty.silent_for):
            worker.silent_for, worker.waits_for = 0.0, ""
        elif system := worker.party():
            worker.silent_for, worker.waits_for = 0.0, system
        else:
            worker.silent_for, worker.waits_for = worker.silent_for + gap, ""

    def _hung(self, worker: Worker) -> None:
        line = (
            f"the thread `{worker.name}`, which {worker.duty.does}, hangs in its own work for {worker.silent_for:.0f} s"
            f" at {worker.where() or 'an unknown place'}"
        )
        if worker.duty.hung == "replace":
            unwanted = worker.stopping
            try:
                replaced = self._replaced(worker)
            except NotNow:
                return  # the next check tries again
            if replaced or unwanted:
                worker.abandon()
                self._tell_replaced(worker, line, unwanted=unwanted)
                return
        worker.silent_for = 0.0  # report once, where the process does not end
        supervision.fail(line)

    def _tell_replaced(self, worker: Worker, line: str, *, unwanted: bool) -> None:
        if unwanted:
            log.warning("thread.left_behind", thread=worker.name, error=line)
            return
        self.replaced[worker.name] = self.replaced.get(worker.name, 0) + 1
        log.error("thread.replaced", thread=worker.name, error=line)

    def _replaced(self, worker: Worker) -> bool:
        try:
            return self._replace(worker)
        except NotNow:
            raise
        except Exception:
            log.exception("thread.not_replaced", thread=worker.name)
            return False

    def stuck(self, worker: Worker) -> str:
        """Why this worker does not count as alive, in words; empty if it does."""
        if worker.failed:
            return f"the thread {worker.name} died: {worker.failed}"
        if worker.silent_for > self._patience * worker.duty.silent_for:
            return f"the thread {worker.name} hangs in its own work at {worker.where()}"
        return ""

    def held_up(self, worker: Worker) -> str:
        """Why this worker makes no progress, in words; empty if it does."""
        if worker.waits_for:
            return f"it waits for {worker.waits_for}"
        return self.stuck(worker)

    def late(self, seconds: float) -> str:
        """A message with the workers that have not ended after `seconds`, and where they are."""
        places = ", ".join(f"{worker.name} at {worker.where()}" for worker in self.workers)
        return f"stopping takes longer than {seconds:.0f} s; these threads have not ended: {places or 'none'}"

    def waiting(self) -> dict[str, str]:
        """The system that each worker waits for, by name, if it has waited for longer than `SLOW`."""
        return {worker.name: worker.waits_for for worker in self.workers if worker.waits_for}

    def seen(self, now: float) -> list[Seen]:
        """The state of each worker."""
        return [
            Seen(
                worker.name,
                worker.silence(now),
                worker.restarts + self.replaced.get(worker.name, 0),
                bool(self.stuck(worker)),
            )
            for worker in self.workers
        ]
