"""Which template of a run is executed when, and with which values. What one pod does is not known here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.node import Ended, Outputs
from retrainer.workflows.local.pod import Pod
from retrainer.workflows.local.tags import scalar, substitute
from retrainer.workflows.local.template import dependencies, inputs, kind, parameters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    Execute = Callable[[Pod], Awaitable[Ended]]
    Report = Callable[[int, int], None]


class Graph:
    """``execute`` runs one pod. ``report`` gets the number of completed pods, and that of all."""

    def __init__(self, workflow: Mapping[str, Any], folder: Path, execute: Execute, report: Report) -> None:
        self._templates = {template["name"]: template for template in workflow["spec"]["templates"]}
        self._entry = self._templates[workflow["spec"]["entrypoint"]]
        self._parameters: dict[str, str] = workflow["parameters"]
        self._values = {f"workflow.parameters.{name}": value for name, value in self._parameters.items()}
        self._values |= {f"workflow.{name}": workflow[name] for name in ("name", "namespace", "uid")}
        self._folder = folder
        self._execute = execute
        self._report = report
        self._done = 0
        self._total = len(self._entry["dag"]["tasks"]) if kind(self._entry) == "dag" else 1

    async def run(self) -> Ended:
        """Execute the entry template. Return how it ended."""
        self._report(self._done, self._total)
        values = self._values | self._inputs(self._entry, self._parameters)
        if kind(self._entry) == "dag":
            return await self._dag(self._entry, values)
        return await self._pod(self._entry["name"], self._entry, values)

    async def _dag(self, template: Mapping[str, Any], values: Mapping[str, str]) -> Ended:
        waiting = {task["name"]: task for task in template["dag"]["tasks"]}
        known, done, running = dict(values), set[str](), dict[asyncio.Task[Ended], str]()
        failed: Ended | None = None
        while waiting or running:
            for name, task in list(waiting.items()):
                if failed is None and done.issuperset(dependencies(task)):
                    del waiting[name]
                    running[asyncio.ensure_future(self._task(task, known))] = name
            if not running:
                break
            for ended in (await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED))[0]:
                name, outcome = running.pop(ended), ended.result()
                if outcome.failed:
                    failed = failed or outcome
                    continue
                done.add(name)
                known |= {f"tasks.{name}.outputs.parameters.{k}": v for k, v in outcome.outputs.parameters.items()}
        return failed or Ended("Succeeded", outputs=_outputs(template, known))

    async def _task(self, task: Mapping[str, Any], known: Mapping[str, str]) -> Ended:
        template = self._templates[task["template"]]
        passed = {item["name"]: substitute(scalar(item["value"]), known) for item in parameters(task, "arguments")}
        return await self._pod(task["name"], template, self._values | self._inputs(template, passed))

    async def _pod(self, name: str, template: Mapping[str, Any], values: Mapping[str, str]) -> Ended:
        ended = await self._execute(Pod(name, template, values, self._folder / "tasks" / name))
        if not ended.failed:
            self._done += 1
            self._report(self._done, self._total)
        return ended

    def _inputs(self, template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
        """Return the inputs. Tags of the workflow are filled in the template's values, but not in passed ones."""
        declared = inputs(template.get("inputs") or {})
        defaults = {name: substitute(value or "", self._values) for name, value in declared.items()}
        return {f"inputs.parameters.{name}": given.get(name, value) for name, value in defaults.items()}


def _outputs(template: Mapping[str, Any], known: Mapping[str, str]) -> Outputs:
    declared = parameters(template, "outputs")
    return Outputs({item["name"]: substitute(item["valueFrom"]["parameter"], known) for item in declared})
