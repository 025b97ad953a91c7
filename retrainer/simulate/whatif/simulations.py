"""The simulations of a daemon: at most one runs, a few wait, and results are kept in memory for a while."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from ulid import ULID

from retrainer.simulate.whatif.process import LEAST_MEMORY, SimulationProcess, memory_for_one
from retrainer.simulate.whatif.worker import as_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.simulate.whatif.job import StoreAddress, WhatIfJob

log = structlog.get_logger()
MOST_WAITING = 4
MOST_KEPT = 20
KEPT_FOR = 3600.0
"""Seconds that an ended simulation is kept."""
CPU_SECONDS = 60
"""Processor time of each of the two processes of a simulation."""
WALL_SECONDS = 120.0
WARM_FOR = 60.0
"""Seconds that a process waits for a job."""
GRACE = 2.0
"""Seconds that the process of a cancelled simulation goes on for the next one."""


class TooManyError(Exception):
    """No more simulations can wait."""


@dataclass(slots=True)
class Simulation:
    """``phase`` is waiting, running, succeeded, failed or cancelled. Times are epoch seconds."""

    id: str
    job: WhatIfJob
    created_at: float
    phase: str = "waiting"
    share: float = 0.0
    words: str = "waiting for another simulation"
    started_at: float | None = None
    ended_at: float | None = None
    answer: bytes = b""
    process: SimulationProcess | None = field(default=None, repr=False)

    @property
    def result(self) -> dict[str, Any] | None:
        return orjson.loads(self.answer) if self.answer else None


class Simulations:
    """Thread-safe. ``store`` returns the address of the store, with its password. ``now`` is the daemon's clock."""

    def __init__(self, store: Callable[[], StoreAddress], now: Callable[[], float]) -> None:
        self._store, self._now = store, now
        self._lock = threading.RLock()
        self._known: dict[str, Simulation] = {}
        self._spare: SimulationProcess | None = None
        self._busy: tuple[Simulation, SimulationProcess] | None = None
        self._timer: threading.Timer | None = None
        self._stopped = False

    def warm(self) -> None:
        """Start a process that waits for a job for a minute: its start takes longer than most simulations may."""
        with self._lock:
            if self._spare is None and self._busy is None and not self._stopped:
                self._keep(SimulationProcess())

    def _keep(self, process: SimulationProcess) -> None:
        """Keep a process, with what it has read, for the next job within a minute."""
        self._spare = process
        self._timer = _later(WARM_FOR, self._drop_spare)

    def _drop_spare(self) -> None:
        spare = self._take_spare()
        if spare is not None:
            spare.close()

    def _take_spare(self) -> SimulationProcess | None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            spare, self._spare, self._timer = self._spare, None, None
            return spare

    def start(self, job: WhatIfJob) -> Simulation:
        """Start a simulation, or let it wait. Raise TooManyError. The limits of ``job`` are set here."""
        memory = memory_for_one()
        if memory < LEAST_MEMORY:
            self._drop_spare()
            memory = memory_for_one()
        if memory < LEAST_MEMORY:
            raise TooManyError(f"only {memory >> 20} MiB of memory are left: raise the memory limit of the container")
        job = replace(job, memory=memory, seconds=CPU_SECONDS)
        with self._lock:
            self._forget()
            if self._stopped:
                raise TooManyError("the daemon stops")
            if sum(one.phase == "waiting" for one in self._known.values()) >= MOST_WAITING:
                raise TooManyError(f"{MOST_WAITING} simulations wait already: cancel one, or try again later")
            now = self._now()
            made = self._known[str(ULID())] = Simulation("", job, now)
            made.id = next(reversed(self._known))
            self._begin_next()
            return replace(made)

    def list(self, sees: Callable[[WhatIfJob], bool]) -> list[Simulation]:
        """Return those whose job ``sees`` accepts, the latest first."""
        with self._lock:
            self._forget()
            return [replace(one) for one in reversed(self._known.values()) if sees(one.job)]

    def find(self, number: str, sees: Callable[[WhatIfJob], bool]) -> Simulation:
        """Return one as it is now. Raise LookupError."""
        with self._lock:
            self._forget()
            known = self._known.get(number)
            if known is None or not sees(known.job):
                what = "it ended an hour ago or longer, or the daemon was restarted; start it again"
                raise LookupError(f"there is no simulation {number}: {what}")
            return replace(known)

    def cancel(self, number: str, sees: Callable[[WhatIfJob], bool]) -> None:
        """Cancel one that has not ended, and forget it. Raise LookupError.

        Its process goes on for a moment: a job with other changes often follows, and needs the same inputs.
        """
        self.find(number, sees)
        with self._lock:
            known = self._known.pop(number, None)
            process = self._end(known, "cancelled", "cancelled") if known is not None else None
            if process is not None:
                process.cancel()
                _later(GRACE, self._kill_if_busy, known)

    def _kill_if_busy(self, cancelled: Simulation) -> None:
        """Kill the process that still computes for a cancelled simulation."""
        with self._lock:
            if self._busy is not None and self._busy[0] is cancelled:
                self._busy[1].kill()

    def stop(self) -> None:
        """Kill what runs, and forget all. Nothing starts any more."""
        with self._lock:
            self._stopped = True
            for one in self._known.values():
                self._end(one, "cancelled", "the daemon stops")
            self._known, busy = {}, self._busy
        self._drop_spare()
        if busy is not None:
            busy[1].kill()

    def _begin_next(self) -> None:
        waiting = next((one for one in self._known.values() if one.phase == "waiting"), None)
        if waiting is None or self._stopped or self._busy is not None:
            return
        waiting.phase, waiting.words, waiting.started_at = "running", "starting a process", self._now()
        spare = self._take_spare()
        if spare is not None and not spare.is_alive:
            spare.close()
            spare = None
        process = waiting.process = spare or SimulationProcess()
        self._busy = waiting, process
        process.memory = process.memory or waiting.job.memory
        threading.Thread(target=self._run, args=(waiting, process), name="simulation", daemon=True).start()

    def _run(self, one: Simulation, process: SimulationProcess) -> None:
        def heard(line: Mapping[str, Any]) -> None:
            one.share, one.words = max(one.share, line["share"]), line["words"]

        found: dict[str, Any] = {}
        try:
            job = replace(one.job, store=self._store(), memory=process.memory)
            answer = process.run(as_line(job), WALL_SECONDS, heard)
            found = orjson.loads(answer) if answer else {"error": process.how_it_ended}
        except orjson.JSONDecodeError:
            found = {"error": "its answer is too large: choose a shorter period"}
        except Exception as error:  # a simulation never hurts the daemon
            log.exception("simulation.failed", rule=one.job.rule)
            found = {"error": f"it failed: {error}"}
        if "error" in found:
            process.close()
        self._answered(one, process, found)

    def _answered(self, one: Simulation, process: SimulationProcess, found: Mapping[str, Any]) -> None:
        with self._lock:
            if "result" in found:
                one.answer, one.share = orjson.dumps(found["result"]), 1.0
                self._end(one, "succeeded", "done")
            else:
                self._end(one, "failed", str(found.get("refused", found.get("error", ""))))
            self._busy = None
            if "error" not in found and not self._stopped:
                self._keep(process)
            self._begin_next()
        if self._stopped:
            process.close()
        seconds = (one.ended_at or 0.0) - (one.started_at or 0.0)
        log.info("simulation.ended", rule=one.job.rule, phase=one.phase, seconds=round(seconds, 2))

    def _end(self, one: Simulation, phase: str, words: str) -> SimulationProcess | None:
        """Note the end of one that has not ended. Return its process."""
        if one.ended_at is not None:
            return None
        process, one.process = one.process, None
        one.phase, one.words, one.ended_at = phase, words, self._now()
        return process

    def _forget(self) -> None:
        """Forget results that are too old or too many."""
        ended = [number for number, one in self._known.items() if one.ended_at is not None]
        old = {number for number in ended if (self._known[number].ended_at or 0.0) < self._now() - KEPT_FOR}
        for number in {*old, *ended[: max(0, len(ended) - MOST_KEPT)]}:
            del self._known[number]


def _later(seconds: float, call: Callable[..., None], *given: Any) -> threading.Timer:
    timer = threading.Timer(seconds, call, given)
    timer.daemon = True
    timer.start()
    return timer
