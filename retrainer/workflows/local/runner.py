"""The detached process that executes one local run: `python -m retrainer.workflows.local.runner FOLDER`.

It starts tasks as they become ready, waits for them, and records how the run ended. It works without the daemon, which
may stop and restart meanwhile.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.util.clock import Clock, SystemClock
from retrainer.workflows.local.isolation import adopt_orphans, confine
from retrainer.workflows.local.outputs import BadOutputError
from retrainer.workflows.local.processes import PATIENCE, end_all
from retrainer.workflows.local.run_folder import finish, locked, read, word, write
from retrainer.workflows.local.step import UNWATCHED, LocalStep
from retrainer.workflows.local.tags import scalar, substitute
from retrainer.workflows.local.template import dependencies, inputs, kind, parameters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from retrainer.workflows.local.step_supervisor import Result

POLL = 0.05
"""Seconds between two checks of the steps."""
GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL when a run is stopped or exceeds its deadline."""
UNANSWERED = PATIENCE + 5.0
"""Seconds from SIGKILL until a supervisor that does not report is killed as well."""
_MEMORY_UNIT = 100 * 1024**2  # Argo counts memory in units of 100 MiB times seconds


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends: Argo's phase, and the reason."""

    phase: str
    message: str = ""
    stopped: bool = False


@dataclass(slots=True)
class RunProgress:
    """The state of the tasks. `outputs`: tag values that later tasks may use."""

    waiting: dict[str, Mapping[str, Any]]
    running: dict[str, LocalStep] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    outputs: dict[str, str] = field(default_factory=dict)
    failed: End | None = None


class Runner:
    def __init__(self, folder: Path, workflow: Mapping[str, Any], clock: Clock) -> None:
        self._folder = folder
        self._workdir = workflow["workdir"]
        self._deadline = workflow["spec"].get("activeDeadlineSeconds")
        self._clock = clock
        self._started = clock.monotonic()
        self._templates = {template["name"]: template for template in workflow["spec"]["templates"]}
        self._entry = self._templates[workflow["spec"]["entrypoint"]]
        self._parameters: dict[str, str] = workflow["parameters"]
        self._values = {f"workflow.parameters.{name}": value for name, value in self._parameters.items()}
        self._values |= {f"workflow.{name}": workflow[name] for name in ("name", "namespace", "uid")}
        self._interrupted: End | None = None

    def run(self) -> tuple[End, dict[str, str]]:
        """Execute the run. Return its end, and the outputs of the entry template."""
        progress = RunProgress(waiting=self._tasks())
        try:
            end = self._loop(progress)
        finally:
            self._kill(progress)
        return end, self._outputs(progress) if end.phase == "Succeeded" else {}

    def _loop(self, progress: RunProgress) -> End:
        while (progress.waiting and progress.failed is None) or progress.running:
            if end := self._requested_end():
                self._stop(progress, end)
                return end
            self._start_ready(progress)
            if self._collect(progress):
                self.report(len(progress.done))
            self._wait(progress)
        return progress.failed or End("Succeeded")

    def report(self, done: int) -> None:
        """Record how many tasks are completed."""
        write(self._folder / "progress", f"{done}/{len(self._tasks())}")

    def interrupt(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: its sender wants the processes of this machine to end."""
        self._interrupted = End("Error", f"the runner was stopped by {signal.Signals(number).name}")

    def _tasks(self) -> dict[str, Mapping[str, Any]]:
        if kind(self._entry) == "dag":
            return {task["name"]: task for task in self._entry["dag"]["tasks"]}
        return {self._entry["name"]: {"name": self._entry["name"], "template": self._entry["name"]}}

    def _requested_end(self) -> End | None:
        if strategy := word(self._folder / "stop"):
            return End("Failed", f"Stopped with strategy '{strategy}'", stopped=True)
        if self._deadline is not None and self._clock.monotonic() - self._started >= self._deadline:
            return End("Failed", f"took longer than its activeDeadlineSeconds of {self._deadline} s")
        return self._interrupted

    def _start_ready(self, progress: RunProgress) -> None:
        for name, task in list(progress.waiting.items()):
            if progress.failed is None and progress.done.issuperset(dependencies(task)):
                del progress.waiting[name]
                self._start(name, task, progress)

    def _start(self, name: str, task: Mapping[str, Any], progress: RunProgress) -> None:
        template = self._templates[task["template"]]
        step = LocalStep(name, template, self._values_for(task, template, progress), self._folder / "tasks" / name)
        try:
            step.start(self._folder, self._workdir)
        except (OSError, ValueError) as error:
            progress.failed = _not_started(name, str(error))
        else:
            progress.running[name] = step

    def _values_for(
        self, task: Mapping[str, Any], template: Mapping[str, Any], progress: RunProgress
    ) -> dict[str, str]:
        outer = self._values | self._inputs(self._entry, self._parameters)
        if template is self._entry:
            return outer
        known = outer | progress.outputs
        passed = {item["name"]: substitute(scalar(item["value"]), known) for item in parameters(task, "arguments")}
        return self._values | self._inputs(template, passed)

    def _inputs(self, template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
        """Return the inputs. Tags of the workflow are filled in the template's values, but not in passed ones."""
        declared = inputs(template.get("inputs") or {})
        defaults = {name: substitute(value or "", self._values) for name, value in declared.items()}
        return {f"inputs.parameters.{name}": given.get(name, value) for name, value in defaults.items()}

    def _collect(self, progress: RunProgress) -> bool:
        """Process the steps that have ended. Return whether there were any."""
        before = len(progress.running)
        for name, step in list(progress.running.items()):
            result = step.ended()
            if result is not None:
                del progress.running[name]
                if result.left or result.error == UNWATCHED:  # descendants of the supervisor are ours now
                    end_all(frozenset(other.supervisor for other in progress.running.values()))
                self._ended(step, result, progress)
        return len(progress.running) < before

    @staticmethod
    def _ended(step: LocalStep, result: Result, progress: RunProgress) -> None:
        if result.left:
            sys.stderr.write(f"{step.name}: {result.left} of the processes that it started could not be ended\n")
        if failed := _failure(step, result):
            progress.failed = progress.failed or failed
            return
        try:
            outputs = step.outputs()
        except BadOutputError as error:
            message = f"{step.name}: an output parameter cannot be read: {error}"
            progress.failed = progress.failed or End("Error", message)
            return
        progress.done.add(step.name)
        progress.outputs |= {f"tasks.{step.name}.outputs.parameters.{key}": value for key, value in outputs.items()}

    def _wait(self, progress: RunProgress) -> None:
        while (
            progress.running
            and not self._requested_end()
            and all(step.ended() is None for step in progress.running.values())
        ):
            time.sleep(POLL)

    def _stop(self, progress: RunProgress, end: End) -> None:
        """Signal the steps to end, wait for a grace period, then kill them."""
        for step in progress.running.values():
            step.signal(signal.SIGTERM)
        until = self._clock.monotonic() + GRACE
        while any(step.ended() is None for step in progress.running.values()):
            if (end.stopped and word(self._folder / "stop") == "Terminate") or self._clock.monotonic() >= until:
                return self._kill(progress)
            time.sleep(POLL)
        return None

    def _kill(self, progress: RunProgress) -> None:
        """Kill the steps with all their processes. Return once they have ended, or if they cannot be ended."""
        for step in progress.running.values():
            step.signal(signal.SIGKILL)
        until = self._clock.monotonic() + UNANSWERED
        while any(step.ended() is None for step in progress.running.values()):
            if self._clock.monotonic() >= until:
                for step in progress.running.values():
                    step.abandon()
            time.sleep(POLL)
        end_all()

    def _outputs(self, progress: RunProgress) -> dict[str, str]:
        declared = parameters(self._entry, "outputs")
        if kind(self._entry) != "dag":
            tag = f"tasks.{self._entry['name']}.outputs.parameters"
            return {item["name"]: progress.outputs[f"{tag}.{item['name']}"] for item in declared}
        return {item["name"]: substitute(item["valueFrom"]["parameter"], progress.outputs) for item in declared}


def _not_started(name: str, error: str) -> End:
    return End("Error", f"{name}: could not be started: {error}")


def _failure(step: LocalStep, result: Result) -> End | None:
    """Return why a step failed; None if it succeeded."""
    if result.code is None:
        return (
            _not_started(step.name, result.error)
            if result.error != UNWATCHED
            else End("Error", f"{step.name}: {UNWATCHED}")
        )
    if result.code == 0:
        return None
    how = f"exit code {result.code}" if result.code > 0 else f"killed by {signal.Signals(-result.code).name}"
    return End("Failed", f"{step.name}: {how}: {step.last_words()}".rstrip(": "))


def resources(elapsed: float) -> dict[str, float]:
    """Return the resource seconds of the steps as Argo counts them: CPU, and 100 MiB (at the largest peak)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"cpu": round(used.ru_utime + used.ru_stime, 3), "memory": round(peak / _MEMORY_UNIT * elapsed, 3)}


def execute(folder: Path, clock: Clock) -> None:
    """Execute the run in `folder`, unless another runner has started it before."""
    if (folder / "started.json").exists():
        return
    with locked(folder, wait=True):
        if (folder / "started.json").exists() or (folder / "exit.json").exists():
            return
        workflow = read(folder / "workflow.json")
        if workflow is None:
            return
        runner = Runner(folder, workflow, clock)
        runner.report(0)
        adopt_orphans()
        if workflow.get("isolate", True):
            confine()  # if this is not possible, the daemon logged it at its start
        write(folder / "started.json", json.dumps({"pid": os.getpid(), "at": clock.now()}))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, runner.interrupt)
        began = clock.monotonic()
        try:
            end, outputs = runner.run()
        except Exception as error:  # noqa: BLE001 - whatever it was, the end of the run must be recorded
            traceback.print_exc()
            end, outputs = End("Error", f"the runner failed: {type(error).__name__}: {error}"), {}
        used = resources(clock.monotonic() - began)
        outcome = {"phase": end.phase, "message": end.message, "stopped": end.stopped, "outputs": outputs}
        finish(folder, {**outcome, "finishedAt": clock.now(), "resourcesDuration": used})


def main() -> None:
    """Execute the run in a new session, so that signals to the daemon's session do not end it."""
    with suppress(PermissionError):  # it is a session leader already
        os.setsid()
    execute(Path(sys.argv[1]), SystemClock())


if __name__ == "__main__":
    main()
