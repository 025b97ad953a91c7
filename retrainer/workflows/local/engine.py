"""The embedded default engine: workflows as processes of this machine, each with its own folder.

A run's folder appears under its final name, complete, by one rename: that is the claim. A detached runner executes the
run once and records how it ended. A restarted daemon reads the folders and continues. `create` and `watch` start a
runner for each folder that has none, as often as needed: only the first one to hold the lock executes.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
import uuid
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.util.clock import Clock, SystemClock
from retrainer.util.regular_files import sync
from retrainer.util.supervision import beat
from retrainer.workflows.base import (
    AlreadyExists,
    Later,
    NoOutput,
    Observed,
    OutputQuery,
    Refused,
    StepOutput,
    Strategy,
    Template,
    WorkflowNodes,
    no_step,
)
from retrainer.workflows.local import isolation, run_folder, templates
from retrainer.workflows.local.known_tags import some
from retrainer.workflows.local.log import newest
from retrainer.workflows.local.recorded import recorded
from retrainer.workflows.local.references import resolved
from retrainer.workflows.local.removal import remove
from retrainer.workflows.local.runners import Runners
from retrainer.workflows.local.sections import inputs, parameters
from retrainer.workflows.local.tags import scalar
from retrainer.workflows.local.template import unused
from retrainer.workflows.manifest import RUN_ANNOTATION

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from retrainer.config import settings

log = structlog.get_logger()

KEPT_RUNS = 200
"""Folders of released runs that are kept, newest first; older ones are removed."""
PROBE = 30.0
"""Seconds for the probe process that checks whether steps can be isolated."""
POLL = 0.2
"""Seconds between two scans of the folders."""
REPEAT = 120.0
"""Seconds after which `watch` reports everything again."""
REMAINS_AGE = 3600.0
"""Seconds after which an incomplete folder cannot belong to work in progress."""
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class LocalEngine:
    """A `WorkflowEngine` on this machine. `instance` names the daemon that owns what is created here."""

    watch_restarts = 0  # there is no connection that could break

    def __init__(self, settings: settings.LocalEngine, instance: str, clock: Clock | None = None) -> None:
        self._templates = Path(settings.templates).resolve()
        self._runs = Path(settings.runs).resolve()
        self._instance = instance
        self._clock = clock or SystemClock()
        self._runners = Runners(self._clock)
        self._isolate = settings.isolate_steps
        self._hidden = isolation.hide()
        self._unreadable: set[Path] = set()

    def create(
        self,
        manifest: Mapping[str, Any],
        *,
        timeout: float,  # noqa: ARG002 - nothing here can hang
        gate: Callable[[], None] | None = None,
    ) -> Observed:
        if gate is not None:
            gate()
        metadata = manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        folder = self._folder(namespace, name)
        spec, libraries = resolved(manifest["spec"], self._finder(namespace))
        workflow = {
            "instance": self._instance,
            "namespace": namespace,
            "name": name,
            "uid": str(uuid.uuid4()),
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "workdir": str(self._templates.parent),
            "isolate": self._isolate,
            "parameters": _arguments(spec, manifest["spec"].get("arguments") or {}),
            "spec": spec,
            "libraries": libraries,
            "unused": unused({"spec": spec}),
        }
        if workflow["unused"]:
            log.info("local.fields_without_effect", run=name, fields=some(workflow["unused"]))
        try:
            self._claim(folder, workflow)
            self._runners.start([folder])
        except OSError as error:
            raise Later(f"{folder}: {error}", code="storage") from error
        run = workflow["annotations"].get(RUN_ANNOTATION, "")
        return Observed(namespace=namespace, name=name, uid=workflow["uid"], run=run, phase="Pending")

    def get(self, namespace: str, name: str) -> Observed | None:
        try:
            return run_folder.observe(self._folder(namespace, name), self._clock.now())
        except OSError as error:
            raise Later(str(error), code="storage") from error
        except (ValueError, KeyError, TypeError):  # its workflow.json was damaged: treated as missing
            return None

    def nodes(self, namespace: str, name: str) -> WorkflowNodes | None:
        seen = self.get(namespace, name)
        return None if seen is None else WorkflowNodes(seen, *recorded(self._folder(namespace, name)))

    def stop(self, namespace: str, name: str, strategy: Strategy) -> None:
        """Signal the runner: Stop is SIGTERM and, after a grace period, SIGKILL; Terminate is SIGKILL at once."""
        folder = self._folder(namespace, name)
        seen = self.get(namespace, name)
        if seen is None or seen.phase in run_folder.ENDED:
            return
        run_folder.write(folder / "stop", strategy)
        message = f"Stopped with strategy '{strategy}'"
        end = {"phase": "Failed", "message": message, "stopped": True, "finishedAt": self._clock.now()}
        run_folder.finish_unstarted(folder, end)

    def release(self, namespace: str, name: str, uid: str) -> None:
        folder = self._folder(namespace, name)
        workflow = run_folder.read(folder / "workflow.json")
        if workflow is not None and workflow["uid"] == uid and not (folder / "released").exists():
            run_folder.write(folder / "released", "")
            self._prune()

    def template(self, namespace: str, name: str, *, cluster: bool) -> Template | None:
        manifest = templates.find(self._templates, name, namespace, cluster=cluster)
        return templates.describe(name, manifest) if manifest is not None else None

    def outputs(self, namespace: str, name: str, query: OutputQuery) -> Iterator[StepOutput]:
        folder = self._folder(namespace, name)
        if not folder.is_dir():
            kept = f"the folders of the last {KEPT_RUNS} ended runs are kept"
            raise NoOutput(f"there is no folder {folder}: {kept}", code="not_found")
        steps = run_folder.steps(folder)
        names = run_folder.step_names(folder)
        named = [(names.get(step.name, step.name), step) for step in steps]
        chosen = [(node, step) for node, step in named if query.selects(node)]
        if not chosen:
            raise NoOutput(no_step(name, query, [node for node, _ in named]), code="no_step")
        return (newest(node, step, query) for node, step in chosen)

    @property
    def trouble(self) -> str:
        return ""

    def watch(self, report: Callable[[Observed], None], stop: threading.Event) -> None:
        """Scan the folders until `stop` is set. Start the runners that wait for a slot or were interrupted."""
        self._announce()
        self._sweep_up()
        seen: dict[Path, Observed] = {}
        repeat_at = 0.0
        while not stop.is_set():
            beat(POLL)
            if self._clock.monotonic() >= repeat_at:
                seen.clear()
                repeat_at = self._clock.monotonic() + REPEAT
            try:
                changed = list(self._changes(seen))
                self._runners.start([folder for folder, run in seen.items() if run.phase == "Pending"])
            except OSError as error:
                log.warning("local.watch_failed", error=str(error))
                changed = []
            for run in changed:
                report(run)
            stop.wait(POLL)

    def _announce(self) -> None:
        """Log once what a step can read of other processes, if the system cannot isolate it."""
        if reason := self._open_to_steps():
            hidden = self._hidden and not isolation.all_powerful()
            others = "of other processes of this user, though not of this one"
            whose = others if hidden else "of this process, secrets included"
            log.warning("local.steps_not_isolated", reason=reason, can_read=f"the environment {whose}")

    def _open_to_steps(self) -> str:
        if not self._isolate:
            return "engine.isolate_steps is off"
        probe = [sys.executable, "-P", "-m", "retrainer.workflows.local.isolation"]
        environment = isolation.environment_of_runner()
        try:
            done = subprocess.run(probe, env=environment, capture_output=True, text=True, timeout=PROBE, check=True)  # noqa: S603 - runs this interpreter
        except (OSError, subprocess.SubprocessError) as error:
            return f"it could not be tried: {error}"
        return done.stdout

    def check(self) -> list[str]:
        problems = templates.problems(self._templates)
        try:
            self._runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            return [f"{self._runs}: cannot be created, correct `engine.runs`: {error}", *problems]
        if not os.access(self._runs, os.W_OK):
            return [f"{self._runs}: cannot be written to, correct `engine.runs`", *problems]
        return problems

    def _folder(self, namespace: str, name: str) -> Path:
        for word in (namespace, name):
            if not _NAME.fullmatch(word):
                raise Refused(
                    f"{word!r} is not a valid name: lower-case letters, digits and `-`, at most 63", code="invalid"
                )
        return self._runs / namespace / name

    def _finder(self, namespace: str) -> Callable[[Mapping[str, Any]], Mapping[str, Any] | None]:
        """Return a function that returns the spec of a WorkflowTemplate that a reference means."""

        def find(reference: Mapping[str, Any]) -> Mapping[str, Any] | None:
            cluster = bool(reference.get("clusterScope"))
            found = templates.find(self._templates, reference["name"], namespace, cluster=cluster)
            return None if found is None else found.get("spec") or {}

        return find

    def _claim(self, folder: Path, workflow: Mapping[str, Any]) -> None:
        # A rename makes the whole folder appear at once. It fails if the target is not empty.
        folder.parent.mkdir(parents=True, exist_ok=True)
        beside = folder.with_name(f".new-{uuid.uuid4()}")
        beside.mkdir()
        try:
            run_folder.write(beside / "workflow.json", json.dumps(workflow))
            beside.rename(folder)
        except OSError as error:
            remove(beside)
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                raise AlreadyExists(f"there is a folder {folder} already", code="exists") from error
            raise
        sync(folder.parent)

    def _changes(self, seen: dict[Path, Observed]) -> Iterator[Observed]:
        there = set()
        for folder in sorted(self._runs.glob("[!.]*/[!.]*")):
            there.add(folder)
            before = seen.get(folder)
            if before is None or before.phase not in run_folder.ENDED:
                run_folder.put_down(folder, self._clock.now())
                now = self._ours(folder)
                if now is not None and now != before:
                    seen[folder] = now
                    yield now
        for folder in seen.keys() - there:
            last = seen.pop(folder)
            if last.phase not in run_folder.ENDED:
                yield replace(last, gone=True, message="its folder no longer exists")

    def _ours(self, folder: Path) -> Observed | None:
        try:
            workflow = run_folder.read(folder / "workflow.json")
            if workflow is None or workflow["instance"] != self._instance:
                return None
            return run_folder.observe(folder, self._clock.now())
        except (OSError, ValueError, KeyError, TypeError) as error:  # one bad folder does not hide the others
            if folder not in self._unreadable:
                self._unreadable.add(folder)
                log.warning("local.unreadable", folder=str(folder), error=str(error))
            return None

    def _sweep_up(self) -> None:
        """Remove what a crash left between two renames."""
        for folder in self._runs.glob("*/.*-*"):
            if self._clock.now() - run_folder.modified(folder) > REMAINS_AGE:
                remove(folder)

    def _prune(self) -> None:
        marks = list(self._runs.glob("[!.]*/[!.]*/released"))
        for mark in sorted(marks, key=run_folder.modified, reverse=True)[KEPT_RUNS:]:
            # Renamed first, so that a half-removed folder is never visible.
            away = mark.parent.with_name(f".old-{uuid.uuid4()}")
            with suppress(OSError):  # another thread was first
                mark.parent.rename(away)
                remove(away)


def _arguments(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    values = inputs(spec.get("arguments") or {}) | inputs(given)
    if missing := sorted(name for name, value in values.items() if value is None):
        raise Refused(f"spec.arguments.parameters: no value for {', '.join(missing)}", code="invalid")
    for item in parameters(spec, "arguments"):
        allowed = [scalar(value) for value in item.get("enum") or ()]
        if allowed and values[item["name"]] not in allowed:
            raise Refused(
                f"spec.arguments.parameters: {item['name']} must be one of {', '.join(allowed)}", code="invalid"
            )
    # Normalise line ends as YAML does: a CR would end up in lines of a shell script that a value is inserted into.
    known = {name: value.replace("\r\n", "\n") for name, value in values.items() if value is not None}
    entry = next(template for template in spec["templates"] if template["name"] == spec["entrypoint"])
    for name, default in inputs(entry.get("inputs") or {}).items():
        if default is None and name not in known:
            message = f"spec.arguments.parameters: no value for {name}, which template {entry['name']!r} takes"
            raise Refused(message, code="invalid")
    return known
