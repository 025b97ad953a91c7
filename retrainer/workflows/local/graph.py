"""Which template of a run is executed when, and with which values. What one pod does is not known here."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local import hooks, loops
from retrainer.workflows.local.dag import Dag
from retrainer.workflows.local.expression import holds
from retrainer.workflows.local.expression_functions import ExpressionError
from retrainer.workflows.local.library import Library
from retrainer.workflows.local.node import Ended, Outputs
from retrainer.workflows.local.place import Place, Siblings
from retrainer.workflows.local.pod import Pod
from retrainer.workflows.local.retry import pause, seconds
from retrainer.workflows.local.scope import Scope
from retrainer.workflows.local.sections import artifacts, kind, parameters
from retrainer.workflows.local.step_groups import run_groups
from retrainer.workflows.local.tags import scalar
from retrainer.workflows.local.workflow_values import pod_values, workflow_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.workflows.local.nodes import Nodes
    from retrainer.workflows.local.place import Surroundings

    Step = Mapping[str, Any]
    Template = Mapping[str, Any]

DEEPEST = 100
"""Levels of templates in templates; Argo has the same bound."""
MOST_PODS = 64
"""Pods of a run that run at once."""
POLL = 0.05
"""Seconds between two checks, while a pause lasts, whether the run has to end."""
LONGEST_SUSPEND = 3600.0
_RESULT = re.compile(r"outputs\W{1,6}result")
_TYPES = {"dag": "DAG", "steps": "Steps", "suspend": "Suspend"}


class Graph:
    def __init__(self, workflow: Mapping[str, Any], nodes: Nodes, around: Surroundings) -> None:
        self._spec = workflow["spec"]
        self._parameters: Mapping[str, str] = workflow["parameters"]
        self._library = Library(self._spec, workflow.get("libraries") or {})
        self._values = workflow_values(workflow, around.clock.now())
        self._globals = Scope({})
        self._outputs: dict[str, str] = {}
        self._keeps = _RESULT.search(json.dumps(workflow["spec"]) + json.dumps(workflow.get("libraries"))) is not None
        self._nodes = nodes
        self._around = around
        self._pods = asyncio.Semaphore(min(int(self._spec.get("parallelism") or MOST_PODS), MOST_PODS))

    async def run(self) -> Ended:
        """Execute the entry template. Return how it ended, with the outputs of the run."""
        template = self._library.named(self._spec["entrypoint"])
        top = self._top().passed({"arguments": {"artifacts": artifacts(self._spec, "arguments")}})
        given, hooked = Scope(self._parameters, top[1]), _Hooked(self, self._spec, Place())
        hooked.look(self._top())
        ended = await self._template(template, Place(), given, self._top())
        self._values["workflow.status"] = ended.phase
        hooked.look(self._top())
        await hooked.end()
        return replace(ended, outputs=Outputs({**self._outputs, **ended.outputs.parameters}))

    async def run_exit(self, ended: Ended, duration: float) -> Ended:
        """Execute the exit handler, if there is one. Return how the run ended with it."""
        self._values |= {"workflow.status": ended.phase, "workflow.duration": f"{duration:.6f}"}
        # Argo inserts this as a text within quotes.
        self._values["workflow.failures"] = json.dumps(json.dumps(self._nodes.failures()))
        after = await self._exit(self._spec, self._top(), Place())
        return after if after is not None and after.failed and not ended.failed else ended

    def _published(self, scope: Scope) -> Scope:
        """Return a scope with what outputs with a `globalName` have left since it was made."""
        return Scope({**scope.values, **self._globals.values}, {**scope.artifacts, **self._globals.artifacts})

    def _top(self) -> Scope:
        return self._published(Scope(self._values))

    async def _use(self, step: Step, scope: Scope, place: Place, siblings: Siblings) -> Ended:
        """Execute a step or a task, for each of its items if it is a loop."""
        below, scope = place.below(step["name"]), self._published(scope)
        try:
            items = loops.items(step, scope)
        except ValueError as error:
            return self._instead(below.name, step, _unless_skipped(step, scope, f"{below.name}: {error}"))
        if items is None:
            return await self._one(step, scope, below, siblings)
        if not items:
            return self._instead(below.name, step, Ended("Skipped", "Skipped, empty params"))
        self._nodes.expect(len(items) - 1)
        each = (
            self._one(step, scope.plus(loops.item_values(item)), replace(below, name=name), siblings)
            for item, name in ((item, loops.item_name(below.name, at, item)) for at, item in enumerate(items))
        )
        return loops.together(await asyncio.gather(*each))

    def _instead(self, name: str, step: Step, ended: Ended) -> Ended:
        """Record a node that is not executed."""
        self._nodes.end(self._nodes.start(name, "Skipped", str(step.get("template", ""))), ended)
        return ended

    async def _one(self, step: Step, scope: Scope, place: Place, siblings: Siblings) -> Ended:
        """Execute a step, a task, or one item of it, with its hooks."""
        try:
            if why := _why_skipped(step, scope):
                return self._instead(place.name, step, Ended("Skipped", why))
            given = Scope(*scope.passed(step))
        except ValueError as error:
            return self._instead(place.name, step, Ended("Error", f"{place.name}: {error}"))
        tag = f"{siblings.prefix}.{step['name']}"
        hooked = _Hooked(self, step, place)
        async with siblings.slots or nullcontext():
            if siblings.failed:
                return self._instead(place.name, step, Ended("Omitted", "omitted: a node beside it failed"))
            hooked.look(scope.plus({f"{tag}.status": "Running"}))
            ended = await self._called(step, scope, place, given)
            siblings.failed = siblings.fail_fast and ended.failed
        known = scope.with_nodes([(tag, ended)])
        hooked.look(known)
        if ended.ran:
            await self._exit(step, known, place)
        await hooked.end()
        return ended

    async def _called(self, use: Step, scope: Scope, place: Place, given: Scope) -> Ended:
        """Execute the template that a step, a task or a hook uses."""
        template, key = self._library.find(use, place.key)
        return await self._template(template, replace(place, key=key), given, scope if "inline" in use else self._top())

    async def _exit(self, holder: Mapping[str, Any], scope: Scope, place: Place) -> Ended | None:
        """Execute the exit handler of the workflow, a step or a task, if it has one."""
        if (found := hooks.exit_hook(holder)) is None:
            return None
        hook, gets_arguments = found
        given = Scope(self._parameters) if gets_arguments else None
        return await self.hook(hook, scope, replace(place.below(hook["name"]), on_exit=True), given)

    async def hook(self, hook: Step, scope: Scope, place: Place, given: Scope | None = None) -> Ended:
        """Execute a hook. Its arguments are those that it names, unless they are ``given``."""
        self._nodes.expect(1)
        try:
            if not hooks.is_due(hook, scope):
                return self._instead(place.name, hook, Ended("Skipped", "its expression is false"))
            given = given or Scope(*scope.passed(hook))
        except ValueError as error:
            return self._instead(place.name, hook, Ended("Error", f"{place.name}: {error}"))
        return await self._called(hook, scope, place, given)

    async def _template(self, template: Template, place: Place, given: Scope, outer: Scope) -> Ended:
        """Execute a template with its inputs, as often as its `retryStrategy` wants."""
        name = place.name or template["name"]
        try:
            scope = self._inputs(template, place, given, outer)
        except ValueError as error:
            return self._instead(name, {"template": template["name"]}, Ended("Error", f"{name}: {error}"))
        if template.get("retryStrategy") is None:
            return await self._attempt(template, replace(place, name=place.name), scope)
        return await self._retried(template, replace(place, name=name), scope)

    async def _retried(self, template: Template, place: Place, scope: Scope) -> Ended:
        started, attempts = self._around.clock.now(), 0
        while True:
            known = scope.plus({"retries": str(attempts)})
            ended = await self._attempt(template, replace(place, name=f"{place.name}({attempts})"), known)
            attempts += 1
            if not ended.failed or self._around.is_ending():
                return ended
            spent = self._around.clock.now() - started
            try:
                wait = pause(template["retryStrategy"], attempts, ended, spent, known)
            except ValueError as error:
                return replace(ended, phase="Error", message=f"{place.name}: retryStrategy: {error}")
            if isinstance(wait, str):
                return replace(ended, message=f"{ended.message}; {wait}")
            await self._sleep(wait)

    async def _attempt(self, template: Template, place: Place, scope: Scope) -> Ended:
        what = kind(template)
        record = self._nodes.start(place.name or template["name"], _TYPES.get(what, "Pod"), template["name"])
        try:
            if what == "suspend":
                ended = await self._suspended(template, scope)
            elif what in _TYPES:
                ended = await self._composite(template, place, scope)
            else:
                ended = await self._pod(template, replace(place, name=record.name), scope, record.folder)
        except ValueError as error:
            ended = Ended("Error", f"{record.name}: {error}")
        self._nodes.end(record, ended)
        self._publish(template, ended.outputs)
        return replace(ended, started=record.started, finished=record.finished or record.started)

    async def _composite(self, template: Template, place: Place, scope: Scope) -> Ended:
        bound = template.get("parallelism")
        slots = asyncio.Semaphore(int(bound)) if bound else None
        siblings = Siblings("steps" if "steps" in template else "tasks", slots, bool(template.get("failFast")))

        async def use(step: Step, known: Scope) -> Ended:
            return await self._use(step, known, place, siblings)

        def omit(task: Step) -> Ended:
            ended = Ended("Omitted", "omitted: depends condition not met")
            return self._instead(place.below(task["name"]).name, task, ended)

        if "steps" in template:
            self._nodes.expect(sum(map(len, template["steps"])) - 1)
            ended, scope = await run_groups(template["steps"], scope, use)
        else:
            dag = Dag(template["dag"], scope.text(template["dag"].get("target", "")), use, omit)
            self._nodes.expect(len(dag) - 1)
            ended, scope = await dag.run(scope)
        return ended if ended.failed else replace(ended, outputs=scope.outputs(template))

    async def _pod(self, template: Template, place: Place, scope: Scope, folder: str) -> Ended:
        own = self._around.folder / "tasks" / folder
        known = pod_values(scope.values["workflow.name"], place.name)
        files = {
            tag.removeprefix("inputs.artifacts."): one
            for tag, one in scope.artifacts.items()
            if tag.startswith("inputs.artifacts.")
        }
        bounds = [template[name] for name in ("activeDeadlineSeconds", "timeout") if template.get(name) is not None]
        limit = min((seconds(scope.text(bound)) for bound in bounds), default=None)
        pod = Pod(place.name, template, {**scope.values, **known}, own, files, limit, place.on_exit, self._keeps)
        async with self._pods:
            return await self._around.execute(pod)

    async def _suspended(self, template: Template, scope: Scope) -> Ended:
        wait = seconds(scope.text(template["suspend"]["duration"]))
        if wait > LONGEST_SUSPEND:
            raise ValueError(f"suspend.duration is {wait:g} s; the local engine takes at most {LONGEST_SUSPEND:g} s")
        await self._sleep(wait)
        return Ended("Failed", "the run was to end") if self._around.is_ending() else Ended("Succeeded")

    async def _sleep(self, duration: float) -> None:
        until = self._around.clock.monotonic() + duration
        while (left := until - self._around.clock.monotonic()) > 0 and not self._around.is_ending():  # noqa: ASYNC110 - no event
            await asyncio.sleep(min(left, POLL))

    def _inputs(self, template: Template, place: Place, given: Scope, outer: Scope) -> Scope:
        """Return the scope of a template. Tags are filled in its own values, but not in those passed to it."""
        if place.depth > DEEPEST:
            raise ValueError(f"templates use each other more than {DEEPEST} levels deep")
        values, files = dict(outer.values), dict(outer.artifacts)
        for item in parameters(template, "inputs"):
            name = item["name"]
            own = next((item[key] for key in ("value", "default") if item.get(key) is not None), None)
            if name not in given.values and own is None:
                raise ValueError(f"no value for the parameter {name!r}")
            value = given.values[name] if name in given.values else outer.text(own)
            allowed = [scalar(one) for one in item.get("enum") or ()]
            if allowed and value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, and is {value[:100]!r}")
            values[f"inputs.parameters.{name}"] = value
        filled = Scope(values)
        for item in artifacts(template, "inputs"):
            one = given.artifacts.get(item["name"]) or filled.artifact({**item, "optional": True})
            if one is not None:
                files[f"inputs.artifacts.{item['name']}"] = one
        return Scope(values, files)

    def _publish(self, template: Template, outputs: Outputs) -> None:
        """Make outputs with a `globalName` known to the whole run."""
        values, files = dict(self._globals.values), dict(self._globals.artifacts)
        for item in parameters(template, "outputs"):
            if (name := item.get("globalName")) and item["name"] in outputs.parameters:
                self._outputs[name] = outputs.parameters[item["name"]]
                values[f"workflow.outputs.parameters.{name}"] = self._outputs[name]
        for item in artifacts(template, "outputs"):
            if (name := item.get("globalName")) and item["name"] in outputs.artifacts:
                files[f"workflow.outputs.artifacts.{name}"] = outputs.artifacts[item["name"]]
        self._globals = Scope(values, files)


class _Hooked:
    """The hooks with a condition of the workflow, a step or a task. Each one is executed once, when it first holds."""

    def __init__(self, graph: Graph, holder: Mapping[str, Any], place: Place) -> None:
        self._graph = graph
        self._waiting = hooks.others(holder)
        self._place = place
        self._running: list[asyncio.Future[Ended]] = []

    def look(self, scope: Scope) -> None:
        for name in list(hooks.due(self._waiting, scope)):
            hook = self._waiting.pop(name)
            place = self._place.below(hook["name"])
            self._running.append(asyncio.ensure_future(self._graph.hook(hook, scope, place)))

    async def end(self) -> None:
        await asyncio.gather(*self._running)


def _unless_skipped(step: Step, scope: Scope, problem: str) -> Ended:
    """Return the error of a loop without items, unless its `when` does not hold anyway."""
    with suppress(ValueError):
        if why := _why_skipped(step, scope):
            return Ended("Skipped", why)
    return Ended("Error", problem)


def _why_skipped(step: Step, scope: Scope) -> str:
    """Return why the `when` of a step does not hold; empty if it does. Raise TagError or ExpressionError."""
    if not step.get("when"):
        return ""
    when = scope.text(step["when"])
    try:
        return "" if holds(when) else f"when {when!r} evaluated false"
    except ExpressionError as error:
        raise ExpressionError(f"when {when!r}: {error}") from error
