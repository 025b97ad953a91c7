"""Claims admitted runs and creates their Workflows, several at once."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from retrainer.util.supervision import LONGEST_WAIT, Worker, beat, join_all, take
from retrainer.util.supervision import within as bounded
from retrainer.workflows.commit_gate import CommitGate, NotCommitted
from retrainer.workflows.submission import Submission, log_failure, names
from retrainer.workflows.submit_throttle import SubmitThrottle
from retrainer.workflows.template_check import TemplateCheck
from retrainer.workflows.workflow_creator import ClaimedRun, WorkflowCreator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrainer.runs.run import Run
    from retrainer.util.clock import Clock
    from retrainer.workflows.base import RunGateway, WorkflowEngine
    from retrainer.workflows.submission import WorkflowContent

log = structlog.get_logger()

AHEAD = 4
"""Runs claimed per connection, so that no connection waits for the store."""
POLL = 1.0
"""Seconds between two checks for runs whose lease or postponement ended; new runs are signalled by `wake`."""


@dataclass(frozen=True, slots=True)
class SubmitLimits:
    """How many requests are made at once, and how many seconds a run is leased and a request may take."""

    connections: int
    lease: float = 30.0
    request_timeout: float = 10.0


class Submitter:
    """Threads that claim, check, create and verify. `count` is called with each response's code, ``ok`` for success."""

    def __init__(
        self,
        gateway: RunGateway,
        engine: WorkflowEngine,
        content: WorkflowContent,
        clock: Clock,
        limits: SubmitLimits,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._preparation = content.preparation
        self.lease = limits.lease
        self._most = limits.connections * AHEAD
        self._throttle = SubmitThrottle(self._most, clock)
        self._claimed: queue.SimpleQueue[ClaimedRun | None] = queue.SimpleQueue()
        self._busy = 0
        self._announced: dict[str, CommitGate] = {}
        """By run id; used by the engine's thread only."""
        self._more = True  # an earlier process may have left runs
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        creator = WorkflowCreator(
            engine, clock, self._throttle, request_timeout=limits.request_timeout, count=count, stop=self._stop
        )
        check = TemplateCheck(engine, clock)
        self._submission = Submission(gateway, check, content, creator, self._throttle, self._stop)
        self._claimer = Worker("claim", self._claim_forever, self._stop.is_set)
        self._workers = [
            Worker("submit", self._work, self._stop.is_set, name=f"submit-{number}")
            for number in range(limits.connections)
        ]

    def start(self) -> None:
        for thread in (self._claimer, *self._workers):
            thread.start()

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Finish what was sent, postpone what was not, and return once all threads have ended.

        Threads that have not ended within ``within`` seconds are left behind; the next start settles their runs.
        """
        until = self._clock.monotonic() + within
        self._stop.set()
        self._wake.set()
        self._claimer.join(within / 4)  # so that the other threads have time left
        bounded(within / 4, "submitter-hears-out", self._await_dispatches)
        for _ in self._workers:
            self._claimed.put(None)
        join_all(self._workers, max(0.0, until - self._clock.monotonic()))

    def _await_dispatches(self) -> None:
        """Run an empty transaction: an earlier one that called `room` before the stop has ended by then."""
        try:
            self._gateway.claim(0, self.lease)
        except Exception as error:  # noqa: BLE001 - runs that it may have assigned are claimed again after their lease
            log_failure("submitter.claim_failed", error)

    def wake(self) -> None:
        """Signal that runs were admitted. Never blocks."""
        self._wake.set()

    def room(self) -> int:
        """Return how many new runs could be sent at once; 0 if older ones may wait in the store, or after a failure."""
        with self._lock:
            if self._more or self._stop.is_set():
                return 0
            return max(0, self._throttle.allowed() - self._busy)

    def announce(self, runs: Sequence[Run], began: float) -> None:
        """Send the requests for these runs except for their last byte, if there are connections for all of them.

        Runs that need preparation are left out: the API server aborts a request whose end does not arrive.
        """
        if self._preparation is not None:
            runs = [run for run in runs if not self._preparation.needed(run)]
        with self._lock:
            if self._stop.is_set() or self._busy + len(runs) > len(self._workers):
                return
            self._busy += len(runs)
        for run in runs:
            gate = self._announced[run.id] = CommitGate()
            self._claimed.put(ClaimedRun(run, began + self.lease, gate))

    def forget(self) -> None:
        """Drop the announced runs: their transaction failed."""
        while self._announced:
            self._announced.popitem()[1].decide(committed=False)

    def take(self, runs: Sequence[Run], began: float) -> None:
        """Submit runs that were claimed in a transaction that started at `began`, on the monotonic clock."""
        rest = [run for run in runs if not self._open_gate(run)]
        with self._lock:
            self._busy += len(rest)
        for run in rest:
            self._claimed.put(ClaimedRun(run, began + self.lease))

    def _open_gate(self, run: Run) -> bool:
        gate = self._announced.pop(run.id, None)
        if gate is None or not gate.decide(committed=True):
            return False
        gate.yield_to_waiter()
        return True

    def _claim_forever(self) -> None:
        while not self._stop.is_set():
            beat(POLL)
            self._wake.wait(POLL)
            self._wake.clear()
            try:
                while not self._stop.is_set() and self._claim():
                    beat()
            except Exception as error:  # noqa: BLE001 - logged and retried
                log_failure("submitter.claim_failed", error)
                self._stop.wait(POLL)

    def _claim(self) -> bool:
        """Claim as many runs as the throttle allows. Return whether there may be more."""
        with self._lock:
            room = self._throttle.allowed() - self._busy
            self._more = room <= 0
        if room <= 0:
            return False
        until = self._clock.monotonic() + self.lease
        runs = self._gateway.claim(room, self.lease)
        with self._lock:
            self._busy += len(runs)
            self._more = len(runs) == room
        for run in runs:
            self._claimed.put(ClaimedRun(run, until))
        return len(runs) == room

    def _work(self) -> None:
        while (claimed := take(self._claimed)) is not None:
            beat()
            try:
                self._submission.settle(claimed)
            except NotCommitted:
                log.debug("submitter.not_committed", **names(claimed.run))
            except Exception:  # its lease expires, and it is claimed again
                log.exception("submitter.failed", **names(claimed.run))
            finally:
                self._done()

    def _done(self) -> None:
        with self._lock:
            self._busy -= 1
            needs_runs = self._more and self._busy <= self._most // 2
        if needs_runs:
            self._wake.set()
