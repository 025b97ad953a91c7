"""A run gateway and a cluster in memory that follow the contract of `retrainer.workflows.base`."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.runs.run import Run, RunPhase
from retrainer.workflows.base import AlreadyExists, Observed, Template, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from retrainer.util.clock import Clock

UNTIL = 10.0
"""Seconds that a test waits for a condition before it fails."""


class MemoryDesk:
    """Runs with the same transitions as in the engine. `until` waits for one."""

    def __init__(self, clock: Clock, *runs: Run) -> None:
        self.clock = clock
        self.changed = threading.Condition()
        self.runs = {run.id: replace(run, phase=RunPhase.PENDING, submit_attempts=0) for run in runs}
        self.waits: list[float] = []
        self.seen: list[Observed] = []
        self.claims: list[int] = []

    def until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, UNTIL), "what should have happened did not"

    def _change(self, run: str, **values: Any) -> None:
        with self.changed:
            self.runs[run] = replace(self.runs[run], **values)
            self.changed.notify_all()

    def claim(self, limit: int, lease: float) -> list[Run]:
        with self.changed:
            now = self.clock.now()
            self.claims.append(limit)
            turn = [run for run in self.runs.values() if _claimable(run, now)][:limit]
            for run in turn:
                attempts = run.submit_attempts + 1
                self._change(run.id, phase=RunPhase.SUBMITTING, lease_until=now + lease, submit_attempts=attempts)
            return [self.runs[run.id] for run in turn]

    def submitted(self, run: str, uid: str) -> None:
        if self.runs[run].phase is RunPhase.SUBMITTING:
            self._change(run, phase=RunPhase.SUBMITTED, uid=uid, message="")

    def refused(self, run: str, message: str) -> None:
        self._change(run, phase=RunPhase.ERROR, message=message, ended_at=self.clock.now())

    def postponed(self, run: str, message: str, retry_after: float) -> None:
        self.waits.append(retry_after)
        self._change(run, phase=RunPhase.PENDING, message=message, not_before=self.clock.now() + retry_after)

    def observed(self, seen: Sequence[Observed]) -> None:
        with self.changed:
            self.seen.extend(seen)
            self.changed.notify_all()
        for each in seen:
            if each.gone:
                self._change(each.run, phase=RunPhase.UNKNOWN, ended_at=self.clock.now())
            elif each.phase in ("Succeeded", "Failed"):
                self._change(each.run, phase=RunPhase(each.phase.upper()), ended_at=self.clock.now())

    def released(self, run: str) -> None:
        self._change(run, released=True)

    def to_stop(self) -> list[Run]:
        return [run for run in self.runs.values() if run.stop_requested and not run.phase.terminal]

    def to_release(self) -> list[Run]:
        return [run for run in self.runs.values() if run.phase.terminal and not run.released]

    def live_ids(self) -> list[str]:
        return [run.id for run in self.runs.values() if run.phase in (RunPhase.SUBMITTED, RunPhase.RUNNING)]

    def read_runs(self, ids: Iterable[str]) -> list[Run]:
        return [self.runs[run] for run in ids]


def _claimable(run: Run, now: float) -> bool:
    if run.phase is RunPhase.PENDING:
        return run.not_before <= now
    return run.phase is RunPhase.SUBMITTING and (run.lease_until or 0.0) < now


class MemoryCluster:
    """Workflows by name. `create` raises one of `faults` at each call, before it creates or, if marked so, after it."""

    def __init__(self, template: Template | None = None) -> None:
        self.workflows: dict[str, Observed] = {}
        self.held: set[str] = set()
        self.created: list[str] = []
        self.calls: dict[str, int] = defaultdict(int)
        self.faults: list[tuple[str, WorkflowError]] = []
        self.broken: dict[str, WorkflowError] = {}
        self.known_template = template
        self.lock = threading.Lock()
        self.report: Callable[[Observed], None] | None = None
        self.watching = threading.Event()
        self.at_gate = False

    def create(
        self, manifest: Mapping[str, Any], *, timeout: float, gate: Callable[[], None] | None = None
    ) -> Observed:
        if gate is not None:
            self.at_gate = True
            gate()
        meta = manifest["metadata"]
        with self.lock:
            self.calls["create"] += 1
            when, fault = self.faults.pop(0) if self.faults else ("", None)
            if when == "before" and fault is not None:
                raise fault
            if meta["name"] in self.workflows:
                raise AlreadyExists(f"{meta['name']} already exists", code="409")
            run = meta["annotations"]["retrainer.dev/run"]
            made = Observed(meta["namespace"], meta["name"], f"uid-{len(self.created)}", run, "")
            self.workflows[made.name] = made
            self.held.add(made.name)
            self.created.append(made.name)
            if fault is not None:
                raise fault
            return made

    def _touch(self, what: str) -> None:
        self.calls[what] += 1
        if what in self.broken:
            raise self.broken[what]

    def get(self, namespace: str, name: str) -> Observed | None:
        self._touch("get")
        return self.workflows.get(name)

    def stop(self, namespace: str, name: str, strategy: str) -> None:
        self._touch("stop")
        if name in self.workflows:
            ended = replace(self.workflows[name], phase="Failed", stopped=True, finished_at=1.0)
            self.workflows[name] = ended
            if self.report is not None:
                self.report(ended)

    def release(self, namespace: str, name: str, uid: str) -> None:
        self._touch("release")
        self.held.discard(name)

    def template(self, namespace: str, name: str, *, cluster: bool) -> Template | None:
        self._touch("template")
        return self.known_template

    def watch(self, report: Callable[[Observed], None], stop: threading.Event) -> None:
        self.report = report
        self.watching.set()
        stop.wait()

    def check(self) -> list[str]:
        return []
