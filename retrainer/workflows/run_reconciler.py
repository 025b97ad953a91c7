"""Follows submitted runs to their end: reports observations, stops, removes finalizers, fetches missing Workflows."""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog

from retrainer.util.failpoints import hit
from retrainer.util.supervision import LONGEST_WAIT, Worker, beat, join_all, take
from retrainer.workflows.base import Observed, WorkflowError
from retrainer.workflows.submission import log_failure, names

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from retrainer.runs.run import Run
    from retrainer.util.clock import Clock
    from retrainer.workflows.base import RunGateway, Strategy, WorkflowEngine

log = structlog.get_logger()

BATCH = 256
"""Observations per transaction, and runs per read."""
QUEUE = 1_000
"""Observations that wait to be stored. Beyond that the watch blocks, and its list waits too."""
HANDS = 4
"""Parallel requests of the reconciler."""
ASK_AGAIN = 30.0
"""Seconds between two stop requests for a Workflow, and before a failed request is retried."""
NEVER_SHOWN = 30.0
"""Seconds after which a live run that the watch never reported is fetched by name."""
NOT_SHOWN = 900.0
"""The same for a run that it did report: three lists without it."""
LIVE_EVERY = 15.0


class RunReconciler:
    """Threads around one watch. `tick`: seconds between two rounds of stops and releases."""

    def __init__(self, gateway: RunGateway, engine: WorkflowEngine, clock: Clock, *, tick: float = 2.0) -> None:
        self._gateway = gateway
        self._engine = engine
        self._clock = clock
        self._tick = tick
        self._seen: queue.Queue[Observed | None] = queue.Queue(QUEUE)
        self._shown: dict[str, tuple[float, float]] = {}
        self._resting: dict[str, float] = {}
        self._live_at = 0.0
        self._unstored: list[Observed] = []
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._hands = ThreadPoolExecutor(HANDS, thread_name_prefix="follow")
        self._watcher = Worker("watch", lambda: engine.watch(self._seen.put, self._stop), self._stop.is_set)
        self._feeder = Worker("observe", self._feed, self._stop.is_set)
        self._ticker = Worker("follow", self._tick_forever, self._stop.is_set)

    def start(self) -> None:
        for thread in (self._watcher, self._feeder, self._ticker):
            thread.start()

    def wake(self) -> None:
        """Signal that a run was asked to stop, or has ended. Never blocks."""
        self._wake.set()

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Store the observations, and return once all threads have ended.

        Threads that have not ended within ``within`` seconds are left behind; the next start observes the same again.
        """
        until = self._clock.monotonic() + within
        self._stop.set()
        self._wake.set()
        join_all((self._watcher, self._ticker), within)
        self._hands.shutdown(wait=False, cancel_futures=True)  # idle, unless the ticker was left behind
        with contextlib.suppress(queue.Full):
            self._seen.put(None, timeout=max(0.0, until - self._clock.monotonic()))
        self._feeder.join(max(0.0, until - self._clock.monotonic()))

    def _feed(self) -> None:
        self._store(self._unstored)  # the batch of this thread's predecessor, if that died
        while (first := take(self._seen)) is not None:
            self._unstored = batch = [first]
            while len(batch) < BATCH and not self._seen.empty():
                item = self._seen.get()
                if item is None:
                    self._seen.put(None)
                    break
                batch.append(item)
            shown = self._clock.monotonic(), NOT_SHOWN
            self._shown.update((seen.run, shown) for seen in batch)
            self._store(batch)

    def _store(self, batch: list[Observed]) -> None:
        """Store the batch, however long it takes: the watch does not report it again soon."""
        while batch:
            beat()
            try:
                self._gateway.observed(batch)
            except Exception as error:  # noqa: BLE001 - logged and retried
                log_failure("follower.store_failed", error, observations=len(batch))
                if self._stop.wait(1.0):
                    return
            else:
                if any(seen.finished_at for seen in batch):
                    self._wake.set()  # their finalizers can be removed
                self._unstored = []
                return

    def _tick_forever(self) -> None:
        while not self._stop.is_set():
            beat(self._tick)
            self._wake.wait(self._tick)
            self._wake.clear()
            for step in (self._stop_runs, self._release_runs, self._find_lost):
                if self._stop.is_set():
                    return
                beat()
                try:
                    step()
                except Exception as error:  # noqa: BLE001 - logged, and retried at the next tick
                    log_failure("run_reconciler.failed", error, step=step.__name__)

    def _stop_runs(self) -> None:
        runs = [run for run in self._gateway.to_stop() if self._rested(f"stop {run.id} {run.stop_requested}")]
        list(self._hands.map(self._stop_run, runs))

    def _stop_run(self, run: Run) -> None:
        strategy: Strategy = "Terminate" if run.stop_requested == "Terminate" else "Stop"
        # Rest first: also after a success, the controller needs time before the request is repeated.
        self._rest(f"stop {run.id} {run.stop_requested}")
        with self._logged("run.stop_failed", run):
            self._engine.stop(run.namespace, run.workflow, strategy)
            log.info("run.stop_sent", strategy=strategy, **names(run))

    def _release_runs(self) -> None:
        runs = [run for run in self._gateway.to_release() if self._rested(f"release {run.id}")]
        list(self._hands.map(self._release_run, runs))

    def _release_run(self, run: Run) -> None:
        hit("before-release")
        with self._logged("run.release_failed", run, failed=f"release {run.id}"):
            if run.uid is not None:
                self._engine.release(run.namespace, run.workflow, run.uid)
            self._gateway.released(run.id)

    def _find_lost(self) -> None:
        """Fetch live runs by name that the watch has not reported for a while: they may be gone."""
        now = self._clock.monotonic()
        if now < self._live_at:
            return
        self._live_at = now + LIVE_EVERY
        live = self._gateway.live_ids()
        self._forget(frozenset(live))
        lost = [run for run in live if self._is_lost(run, now)]
        for start in range(0, len(lost), BATCH):
            list(self._hands.map(self._ask, self._gateway.read_runs(lost[start : start + BATCH])))

    def _is_lost(self, run: str, now: float) -> bool:
        shown, wait = self._shown.setdefault(run, (now, NEVER_SHOWN))
        return now - shown >= wait

    def _forget(self, live: Container[str]) -> None:
        now = self._clock.monotonic()
        for run in [run for run in list(self._shown) if run not in live]:
            self._shown.pop(run, None)
        for what in [what for what, until in list(self._resting.items()) if until <= now]:
            self._resting.pop(what, None)

    def _ask(self, run: Run) -> None:
        with self._logged("run.unread", run):
            found = self._engine.get(run.namespace, run.workflow)
            if found is None or (run.uid is not None and found.uid != run.uid):
                found = Observed(run.namespace, run.workflow, run.uid or "", run.id, "", gone=True)
            self._seen.put(found)

    def _rested(self, what: str) -> bool:
        """Return whether a request may be sent (again) now."""
        until = self._resting.get(what)
        if until is not None and self._clock.monotonic() < until:
            return False
        self._resting.pop(what, None)
        return True

    def _rest(self, what: str) -> None:
        self._resting[what] = self._clock.monotonic() + ASK_AGAIN

    @contextlib.contextmanager
    def _logged(self, event: str, run: Run, *, failed: str = "") -> Iterator[None]:
        """Log an error. With ``failed``, delay the next attempt."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - concerns this run only; the same round handles others
            if failed:
                self._rest(failed)
            if isinstance(error, WorkflowError):
                log.warning(event, error=str(error), code=error.code, **names(run))
            else:
                log_failure(event, error, **names(run))
