"""Tries examples on a local engine, many at once, as their steps mostly sleep."""

from __future__ import annotations

import os
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.config.settings import LocalEngine as Settings
from retrainer.workflows.base import Refused
from retrainer.workflows.local import runners
from retrainer.workflows.local.engine import LocalEngine
from tests.argo_examples.examples import NAMESPACE, Example, text
from tests.argo_examples.needs import PROGRAM, SERVER, missing
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ENDED = ("Succeeded", "Failed", "Error")
POLL = 0.05
SLOWEST = 180.0
"""Seconds for all runs together."""
AT_ONCE = 24
DELIBERATE = (
    *("dag-continue-on-fail", "dag-disable-failFast", "exit-handlers"),
    *("pod-gc-strategy", "pod-gc-strategy-with-label-selector", "loops-arbitrary-sequential-steps"),
    *("dag-task-level-timeout", "step-level-timeout", "timeouts-step"),
)
LOTS = (
    *("custom-metrics", "resubmit", "template-defaults", "retry-backoff", "retry-conditional", "retry-container"),
    *("retry-container-to-completion", "retry-on-error", "retry-script", "retry-with-steps"),
    "workflow-template/retry-with-steps",
)
ENDS = {
    **dict.fromkeys(DELIBERATE, ("Failed",)),
    **dict.fromkeys(LOTS, ("Succeeded", "Failed")),
    "forever": ("Running",),
}
"""How an example is meant to end, if not as Succeeded."""
REAL_TIME = ("dag-task-level-timeout", "step-level-timeout", "timeouts-step", "forever")
"""Examples in which a second of `sleep` is one; in others it is a tenth."""
VALUES = {"data": "1", "message": "hello"}
"""Values for parameters of a Workflow that has none of its own."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of an example. ``refused``: field and reason; ``ends``: phase and message of each of its runs."""

    example: Example
    lacks: dict[str, list[str]]
    refused: Sequence[tuple[str, str]] = ()
    ends: Sequence[tuple[str, str]] = ()

    @property
    def runs(self) -> bool:
        meant = ENDS.get(self.example.name.removesuffix(".yaml"), ("Succeeded",))
        return not self.refused and bool(self.ends) and all(phase in meant for phase, _ in self.ends)

    @property
    def endless(self) -> bool:
        return "Running" in ENDS.get(self.example.name.removesuffix(".yaml"), ())

    @property
    def possible(self) -> bool:
        """Whether this machine has what its steps call."""
        return not self.lacks[PROGRAM]

    @property
    def alone(self) -> bool:
        """Whether it also needs no server: none that the local engine misses, at least."""
        return self.possible and not (self.refused and self.lacks[SERVER])


def try_all(examples: Sequence[Example], home: Path) -> list[Trial]:
    """Validate each example, and run those whose programs this machine has."""
    os.environ["PATH"] = f"{Path(__file__).parent / 'bin'}:{os.environ['PATH']}"
    started = [_start(example, home / re.sub(r"\W+", "-", example.name), examples) for example in examples]
    with _running([engine for _, engine in started if engine is not None]):
        deadline = time.monotonic() + SLOWEST
        ended = {id(trial): _finish(trial, engine, deadline) for trial, engine in started if not trial.endless}
        return [ended.get(id(trial)) or _finish(trial, engine, 0.0) for trial, engine in started]


def _start(example: Example, home: Path, examples: Sequence[Example]) -> tuple[Trial, LocalEngine | None]:
    lacks = missing(example)
    (home / "templates").mkdir(parents=True)
    (home / "templates/own.yaml").write_text(text(example))
    if example.name.removesuffix(".yaml") in REAL_TIME:
        (home / "real-time").touch()
    engine = LocalEngine(
        Settings(type="local", templates=str(home / "templates"), runs=str(home / "runs")), instance="examples"
    )
    if example.unreadable:
        return Trial(example, lacks, [("", example.unreadable)]), None
    for number, other in enumerate(_beside(example, examples)):
        (home / f"templates/other-{number}.yaml").write_text(text(other))
    refused = [_problem(line) for line in engine.check() if "/own.yaml: " in line]
    trial = Trial(example, lacks, refused)
    if refused or not trial.possible or not example.runs:
        return trial, None
    try:
        for number, spec in enumerate(example.runs):
            engine.create(_workflow(number, spec, example), timeout=10)
    except Refused as error:
        return Trial(example, lacks, [("spec", str(error))]), None
    return trial, engine


def _beside(example: Example, examples: Sequence[Example]) -> list[Example]:
    """Return the examples with templates that this one refers to, and those that these refer to."""
    found, ahead = [example], [example]
    while ahead:
        referring = str((one := ahead.pop()).templates) + str(one.runs)
        for other in examples:
            names = [template["metadata"]["name"] for template in other.templates]
            if other not in found and any(f"'name': '{name}'" in referring for name in names if name != "example-0"):
                found.append(other)
                ahead.append(other)
    return found[1:]


def _problem(line: str) -> tuple[str, str]:
    where, _, why = line.partition("/own.yaml: ")[2].partition(": ")
    return where, why


def _workflow(number: int, spec: dict[str, Any], example: Example) -> dict[str, Any]:
    arguments = spec.get("arguments")
    if arguments is None:
        arguments = {"parameters": [{"name": name, "value": VALUES[name]} for name in _needed(example)]}
    metadata = {"name": f"run-{number}", "namespace": NAMESPACE}
    return {"metadata": metadata, "spec": {**spec, "arguments": arguments}}


def _needed(example: Example) -> set[str]:
    """Return the parameters that whoever starts the example has to give."""
    return {name for spec in example.specs if spec.get("entrypoint") for name in _missing(spec)}


def _missing(spec: dict[str, Any]) -> set[str]:
    entry = next(one for one in spec["templates"] if one["name"] == spec["entrypoint"])
    sections = (spec.get("arguments") or {}, entry.get("inputs") or {})
    items = [item for section in sections for item in section.get("parameters") or ()]
    given = {item["name"] for item in items if item.keys() & {"value", "valueFrom", "default"}}
    return {item["name"] for item in items} - given


@contextmanager
def _running(engines: Sequence[LocalEngine]) -> Iterator[None]:
    """Let all engines start what waits, for as long as the context lasts."""
    stop = threading.Event()
    watchers = [threading.Thread(target=engine.watch, args=(lambda _: None, stop)) for engine in engines]
    for watcher in watchers:
        watcher.start()
    try:
        yield
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


def _finish(trial: Trial, engine: LocalEngine | None, deadline: float) -> Trial:
    if engine is None:
        return trial
    ends = [_end(engine, f"run-{number}", deadline) for number in range(len(trial.example.runs))]
    return Trial(trial.example, trial.lacks, ends=ends)


def _end(engine: LocalEngine, name: str, deadline: float) -> tuple[str, str]:
    while (seen := engine.get(NAMESPACE, name)) is not None and seen.phase not in ENDED:
        if time.monotonic() >= deadline:
            engine.stop(NAMESPACE, name, "Terminate")
            until(lambda: engine.get(NAMESPACE, name).phase in ENDED, f"{name} is stopped")  # type: ignore[union-attr]
            return seen.phase, "was still at it in the end"
        time.sleep(POLL)
    assert seen is not None
    return seen.phase, seen.message


runners.AT_ONCE = AT_ONCE
