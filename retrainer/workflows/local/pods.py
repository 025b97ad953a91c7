"""Executes the pods of one run: starts each as a process, waits for it, and ends it when the run has to end."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.workflows.local.node import Ended, Outputs
from retrainer.workflows.local.outputs import BadOutputError
from retrainer.workflows.local.processes import PATIENCE, end_all
from retrainer.workflows.local.run_folder import word
from retrainer.workflows.local.step import UNWATCHED, LocalStep
from retrainer.workflows.local.step_files import StepFiles

if TYPE_CHECKING:
    from types import FrameType

    from retrainer.util.clock import Clock
    from retrainer.workflows.local.pod import Pod
    from retrainer.workflows.local.step_files import Machine
    from retrainer.workflows.local.step_supervisor import Result

POLL = 0.05
"""Seconds between two checks of the steps."""
GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL when a run is stopped or exceeds its deadline."""
EXIT_TIME = 30.0
"""Seconds after the stop of a run that its exit handlers may take: the daemon kills a runner that takes a minute."""
UNANSWERED = PATIENCE + 5.0
"""Seconds from SIGKILL until a supervisor that does not report is killed as well."""


@dataclass(frozen=True, slots=True)
class End:
    """Why a run has to end before its graph is done: Argo's phase, and the reason."""

    phase: str
    message: str = ""
    stopped: bool = False


class Pods:
    """``end``: why the run has to end; None while it may continue."""

    def __init__(self, machine: Machine, deadline: float | None, clock: Clock) -> None:
        self.end: End | None = None
        self._machine = machine
        self._folder = machine.run
        self._deadline = deadline
        self._clock = clock
        self._started = clock.monotonic()
        self._ended_at = 0.0
        self._running: set[LocalStep] = set()
        self._interrupted: End | None = None

    def interrupt(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: its sender wants the processes of this machine to end."""
        self._interrupted = End("Error", f"the runner was stopped by {signal.Signals(number).name}")

    async def run(self, pod: Pod) -> Ended:
        """Execute one pod. Return how it ended."""
        if (end := self._ending()) and not self._may_run(pod):
            return Ended(end.phase, end.message)
        try:
            step = LocalStep(pod, StepFiles(pod, self._machine))
            step.start(self._machine)
        except (OSError, ValueError) as error:
            return _not_started(pod.name, str(error))
        self._running.add(step)
        result, late = await self._result(step, pod)
        self._running.discard(step)
        if result.left or result.error == UNWATCHED:  # descendants of the supervisor are ours now
            end_all(frozenset(other.supervisor for other in self._running))
        if result.left:
            sys.stderr.write(f"{step.name}: {result.left} of the processes that it started could not be ended\n")
        if late and result.code is not None:
            return Ended("Failed", f"{pod.name}: took longer than its bound of {pod.limit:g} s")
        return _ended(step, result)

    def is_ending(self) -> bool:
        """Return whether no further node may start, but for exit handlers."""
        return self._ending() is not None

    def allows_exit(self) -> bool:
        """Return whether an exit handler may run: always but after Terminate, or if this machine shuts down."""
        return self.end is None or (self.end.phase == "Failed" and not self._terminated())

    def kill(self) -> None:
        """Kill the steps with all their processes. Return once they have ended, or if they cannot be ended."""
        for step in self._running:
            step.signal(signal.SIGKILL)
        until = self._clock.monotonic() + UNANSWERED
        while any(step.ended() is None for step in self._running):
            if self._clock.monotonic() >= until:
                for step in self._running:
                    step.abandon()
            time.sleep(POLL)
        end_all()

    def _ending(self) -> End | None:
        if self.end is None and (end := self._requested_end()):
            self.end, self._ended_at = end, self._clock.monotonic()
        return self.end

    def _requested_end(self) -> End | None:
        if strategy := word(self._folder / "stop"):
            return End("Failed", f"Stopped with strategy '{strategy}'", stopped=True)
        if self._deadline is not None and self._clock.monotonic() - self._started >= self._deadline:
            return End("Failed", f"took longer than its activeDeadlineSeconds of {self._deadline} s")
        return self._interrupted

    def _may_run(self, pod: Pod) -> bool:
        """Return whether a pod may run although the run is to end."""
        if not pod.on_exit or self._interrupted or not self.allows_exit():
            return False
        stopped = self.end is not None and self.end.stopped
        return not stopped or self._clock.monotonic() - self._ended_at < EXIT_TIME

    async def _result(self, step: LocalStep, pod: Pod) -> tuple[Result, bool]:
        """Wait for a step. Return how it ended, and whether it took longer than its bound."""
        until = math.inf if pod.limit is None else self._clock.monotonic() + pod.limit
        while (result := step.ended()) is None:
            late = self._clock.monotonic() >= until
            if late or (self._ending() and not self._may_run(pod)):
                return await self._stop(step), late
            await asyncio.sleep(POLL)
        return result, False

    async def _stop(self, step: LocalStep) -> Result:
        """Signal the step to end, wait for a grace period, then kill it."""
        step.signal(signal.SIGTERM)
        until = self._clock.monotonic() + GRACE
        while (result := step.ended()) is None:
            if self._clock.monotonic() >= until or self._terminated():
                return await self._killed(step)
            await asyncio.sleep(POLL)
        return result

    def _terminated(self) -> bool:
        return self.end is not None and self.end.stopped and word(self._folder / "stop") == "Terminate"

    async def _killed(self, step: LocalStep) -> Result:
        step.signal(signal.SIGKILL)
        until = self._clock.monotonic() + UNANSWERED
        while (result := step.ended()) is None:
            if self._clock.monotonic() >= until:
                step.abandon()
            await asyncio.sleep(POLL)
        return result


def _not_started(name: str, error: str) -> Ended:
    return Ended("Error", f"{name}: could not be started: {error}")


def _ended(step: LocalStep, result: Result) -> Ended:
    if result.code is None:
        why = result.error
        return Ended("Error", f"{step.name}: {UNWATCHED}") if why == UNWATCHED else _not_started(step.name, why)
    left = Outputs(exit_code=result.code, result=step.result())
    if result.code:
        how = f"exit code {result.code}" if result.code > 0 else f"killed by {signal.Signals(-result.code).name}"
        return Ended("Failed", f"{step.name}: {how}: {step.last_words()}".rstrip(": "), left)
    try:
        return Ended("Succeeded", outputs=step.outputs())
    except BadOutputError as error:
        return Ended("Error", f"{step.name}: {error}")
