"""The real engine with a manual clock: time moves from one event to the next, and no Workflow is created."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.engine.core.catalog import build_catalog
from retrainer.engine.core.containment import Care
from retrainer.engine.core.engine import Engine
from retrainer.engine.core.queue import BATCH
from retrainer.engine.runs.run_defaults import RunDefaults, new_run_id
from retrainer.engine.runs.run_gateway import EngineRunGateway
from retrainer.runs.run import RunPhase
from retrainer.simulate.run_script import SUBMITTED_AT_ONCE, RunScript, end_of, uid_of
from retrainer.sources.base import Batch
from retrainer.store import run_statements
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from retrainer.config.configuration import Configuration
    from retrainer.engine.core.notifications import EngineListener, Notification
    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.runs.run_defaults import NewId
    from retrainer.event import Event
    from retrainer.runs.run import Run
    from retrainer.simulate.run_script import RunBehaviour

T = TypeVar("T")
STALLED = 10_000
"""Maximum consecutive transactions without progress of time. No rule needs as many."""


class ManualClock:
    """A clock that returns the time it was set to, in epoch seconds."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    monotonic = wall = now


class NullListener:
    """A listener that ignores everything."""

    def emitted(self, notification: Notification, now: float) -> None:
        pass

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        pass


class World:
    """A simulation of rules from ``start`` on (epoch seconds). Call `close` when done."""

    def __init__(
        self,
        configuration: Configuration,
        start: float,
        runs: RunBehaviour = SUBMITTED_AT_ONCE,
        *,
        listener: EngineListener | None = None,
        new_id: NewId = new_run_id,
        care: Care = Care.WHEN_NEEDED,
    ) -> None:
        self.clock = ManualClock(start)
        self.store = SqliteStore.in_memory()
        self.engine = Engine(
            self.store,
            self.clock,
            listener or NullListener(),
            RunDefaults("default", new_id=new_id),
            max_queue=0,
            care=care,
        )
        self.engine.on_admitted = self._admitted
        self.engine.on_stop_requested = self._stop_requested
        self.engine.drive()
        self.gateway = EngineRunGateway(self.engine)
        self._runs = runs
        self._ends: list[tuple[float, str, RunScript]] = []
        self._to_start = False
        self._to_stop = False
        self._still = 0
        self.engine.switch(build_catalog(configuration, frozenset()))
        self._settle()

    @property
    def now(self) -> float:
        return self.clock.time

    def close(self) -> None:
        self.store.close()

    def deliver(self, source: str, events: Sequence[Event], **more: Any) -> list[str]:
        """Deliver events now and return the outcome of each. ``more``: further fields of `Batch`."""
        offered = [
            self.engine.offer(Batch(source, events[at : at + BATCH], **more)) for at in range(0, len(events), BATCH)
        ]
        while self.engine.queued:
            self.engine.turn()
        self._settle()
        return [word for future in offered for word in future.result().outcomes]

    def act(self, run: Callable[[Transaction], T]) -> T:
        """Run a function in a transaction now."""
        done = self.engine.act(run).result()
        self._settle()
        return done

    def advance(self, until: float) -> None:
        """Advance the time up to and including ``until``. Everything due happens at its own time."""
        while (moment := self.next_moment()) is not None and moment <= until:
            self.happen(moment)
        self.clock.time = max(self.now, until)

    def next_moment(self) -> float | None:
        """Return the time of the next timed action: a wake-up of the engine or the end of a run. None if never."""
        moments = [moment for moment in (self.engine.next_wake, self.next_end()) if moment is not None]
        return max(min(moments), self.now) if moments else None

    def next_end(self) -> float | None:
        """Return when the next run ends; None if no end is known."""
        return self._ends[0][0] if self._ends else None

    def ending(self, until: float) -> list[Run]:
        """Return the runs that are known to end by ``until``."""
        ids = [run for at, run, _ in self._ends if at <= until]
        return self.store.read(lambda conn: list(run_statements.runs_by_id(conn, ids).values())) if ids else []

    def happen(self, moment: float) -> None:
        """Do what is due at ``moment``, which must not be in the past."""
        self._still = self._still + 1 if moment <= self.now else 0
        if self._still > STALLED:
            raise RuntimeError(
                f"the simulated clock does not advance at {moment:.3f}: the engine schedules wake-ups without end"
            )
        self.clock.time = max(self.now, moment)
        due = []
        while self._ends and self._ends[0][0] <= self.now:
            due.append(heapq.heappop(self._ends))
        for _, run, course in due:
            self.end(run, course)
        self.wake_up(moment)

    def wake_up(self, moment: float) -> None:
        """Wake the engine if its next wake-up is due by ``moment``."""
        self.clock.time = max(self.now, moment)
        if self.engine.next_wake is not None and self.engine.next_wake <= self.now:
            self.engine.turn()
        self._settle()

    def end(self, run_id: str, course: RunScript) -> None:
        """End an active run now. A run that has ended already is not changed."""
        run = self.store.read(lambda conn: run_statements.run(conn, run_id))
        if run is None or run.phase.terminal:
            return
        self.gateway.observed([end_of(run, course)])
        self._settle()

    def live(self) -> list[Run]:
        """Return active runs, oldest first."""
        return self.gateway.live()

    def _admitted(self) -> None:
        self._to_start = True

    def _stop_requested(self) -> None:
        self._to_stop = True

    def _settle(self) -> None:
        """Start admitted runs and end runs with stop requests, until neither leads to more of them."""
        while self._to_start or self._to_stop:
            if self._to_start:
                self._to_start = False
                self._start()
            if self._to_stop:
                self._to_stop = False
                for run in filter(self._runs.stops, self.gateway.to_stop()):
                    self.gateway.observed([end_of(run, RunScript(0.0, RunPhase.CANCELLED, message="stopped"))])

    def _start(self) -> None:
        ready = self.store.read(lambda conn: run_statements.ready_runs(conn, self.now))
        for run in filter(self._runs.starts, ready):
            self.gateway.submitted(run.id, uid_of(run.id))
            course = self._runs.script_of(run)
            if course is not None:
                heapq.heappush(self._ends, (self.now + course.lasts, run.id, course))
