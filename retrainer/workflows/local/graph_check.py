"""PURE: what the local engine cannot run in the steps, tasks and hooks of a template, with the path of each field."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from operator import or_
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.depends import depends_of, flaw, terms
from retrainer.workflows.local.expression import parse
from retrainer.workflows.local.known_tags import Tags, cut, expression_problems, left_by, some, unknown_tags
from retrainer.workflows.local.loops import KINDS as LOOP_KINDS
from retrainer.workflows.local.sections import artifacts, inputs, parameters
from retrainer.workflows.local.shapes import MOST, Problem
from retrainer.workflows.local.tags import replaced, tags

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    Template = Mapping[str, Any]
    Find = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]

MOST_TOLD = 50
"""Problems that are reported per manifest."""
_USES = ("template", "templateRef", "inline")


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The templates that a step may use: those ``named`` beside it, and those of other WorkflowTemplates.

    ``find`` returns the spec that a `templateRef` means; without it, references are not checked. ``inline`` checks a
    template that is written into a step. ``volumes``: those of the workflow; None if whoever uses the templates says.
    """

    named: Mapping[str, Template]
    find: Find | None
    inline: Callable[[Template, Tags, str], Iterator[Problem]]
    volumes: frozenset[str] | None = None

    def used(self, use: Mapping[str, Any]) -> Template | None:
        """Return the template of a step, task or hook; None if it is not known."""
        if "inline" in use:
            inline: Template = use["inline"]
            return inline
        reference = use.get("templateRef")
        if reference is None:
            return self.named.get(use.get("template", ""))
        spec = self.find(reference) if self.find else None
        found = (one for one in (spec or {}).get("templates") or () if one.get("name") == reference["template"])
        return next(found, None)


def check_steps(template: Template, near: Neighbours, known: Tags, path: str) -> Iterator[Problem]:
    """Yield what is wrong with `steps`."""
    names = [step["name"] for group in template["steps"] for step in group]
    if len(set(names)) < len(names):
        yield f"{path}.steps", "two steps have the same name"
    for row, group in enumerate(template["steps"]):
        for index, step in enumerate(group):
            yield from _step(step, near, known, f"{path}.steps[{row}][{index}]", "steps")
        known = known.after({f"steps.{step['name']}": _left(step, near) for step in group})
    yield from _outputs(template, known, path)


def check_dag(template: Template, near: Neighbours, known: Tags, path: str) -> Iterator[Problem]:
    """Yield what is wrong with a dag."""
    tasks = {task["name"]: task for task in template["dag"]["tasks"]}
    where = f"{path}.dag.tasks"
    if len(tasks) < len(template["dag"]["tasks"]):
        yield where, "two tasks have the same name"
    target = str(template["dag"].get("target") or "")
    yield from unknown_tags(target, known, f"{path}.dag.target")
    for name in target.split():
        if not tags(target) and name not in tasks:
            yield f"{path}.dag.target", f"there is no task {cut(name)!r}; there are {some(tasks)}"
    graph = {name: dict.fromkeys(task for task, _ in terms(depends_of(one))) for name, one in tasks.items()}
    problems = [*islice(_bad_order(graph, tasks, where), MOST_TOLD)]
    yield from problems
    if problems:
        return
    before = _before(graph)
    left = {name: _left(task, near) for name, task in tasks.items()}
    for index, task in enumerate(template["dag"]["tasks"]):
        earlier = {f"tasks.{name}": left[name] for name in before(task["name"])}
        yield from _step(task, near, known.after(earlier), f"{where}[{index}]", "tasks")
    yield from _outputs(template, known.after({f"tasks.{name}": one for name, one in left.items()}), path)


def check_hooks(holder: Mapping[str, Any], near: Neighbours, known: Tags, path: str) -> Iterator[Problem]:
    """Yield what is wrong with `onExit` and `hooks` of a workflow, a step or a task."""
    if "onExit" in holder and holder["onExit"] not in near.named:
        yield f"{path}.onExit", f"there is no template {holder['onExit']!r}; there are {some(sorted(near.named))}"
    elif "onExit" in holder:
        for name, value in inputs(near.named[holder["onExit"]].get("inputs") or {}).items():
            if value is None and f"workflow.parameters.{name}" not in known.exact:
                needs = f"template {holder['onExit']!r} needs the parameter {name!r}"
                yield f"{path}.onExit", f"{needs}; it gets those of the workflow: pass others with `hooks.exit`"
    for name, hook in (holder.get("hooks") or {}).items():
        yield from _use(hook, near, known, f"{path}.hooks.{name}")
        if "expression" in hook:
            yield from expression_problems(hook["expression"], known, f"{path}.hooks.{name}.expression")
        elif name != "exit":
            yield f"{path}.hooks.{name}", "needs an `expression`; only the hook `exit` runs without one"


def _step(step: Mapping[str, Any], near: Neighbours, known: Tags, path: str, prefix: str) -> Iterator[Problem]:
    loops = [name for name in LOOP_KINDS if step.get(name) is not None]
    if len(loops) > 1:
        yield path, f"may have one of {' and '.join(loops)}"
    for name in loops:
        yield from unknown_tags(step[name], known, f"{path}.{name}")
    sequence = step.get("withSequence")
    if sequence is not None and ("count" in sequence) == ("end" in sequence):
        yield f"{path}.withSequence", "needs either `count` or `end`"
    inner = known.plus("item", prefixes=("item.",)) if loops else known
    if "when" in step:
        yield from _when(str(step["when"]), inner, f"{path}.when")
    yield from _use(step, near, inner, path)
    own = {f"{prefix}.{step['name']}": left_by(near.used(step), is_loop=False)}
    yield from check_hooks(step, near, inner.after(own), path)


def _use(use: Mapping[str, Any], near: Neighbours, known: Tags, path: str) -> Iterator[Problem]:
    written = [name for name in _USES if name in use]
    if len(written) != 1:
        yield path, f"needs one of {', '.join(_USES)}"
        return
    template = near.used(use)
    if template is None and (written != ["templateRef"] or near.find):
        yield f"{path}.{written[0]}", _missing(use, near)
        return
    for index, item in enumerate(parameters(use, "arguments")):
        yield from unknown_tags(item["value"], known, f"{path}.arguments.parameters[{index}].value")
    if "inline" in use:
        yield from near.inline({"name": use["name"], **use["inline"]}, known, f"{path}.inline")
    given = {item["name"] for item in parameters(use, "arguments")}
    for name, value in inputs((template or {}).get("inputs") or {}).items():
        if value is None and name not in given:
            yield f"{path}.arguments", f"template {_named(use)!r} needs the parameter {name!r}"
    yield from _artifacts(use, "arguments", known, path)
    taken = {item["name"] for item in artifacts(use, "arguments")}
    for item in artifacts(template or {}, "inputs"):
        if item["name"] not in taken and not item.get("optional") and "raw" not in item:
            yield f"{path}.arguments", f"template {_named(use)!r} needs the artifact {item['name']!r}"


def _missing(use: Mapping[str, Any], near: Neighbours) -> str:
    if (reference := use.get("templateRef")) is None:
        return f"there is no template {use['template']!r}; there are {some(sorted(near.named))}"
    what = "ClusterWorkflowTemplate" if reference.get("clusterScope") else "WorkflowTemplate"
    where = f"{what} {reference['name']!r} of this folder that is without errors"
    return f"there is no template {reference['template']!r} in a {where}"


def _named(use: Mapping[str, Any]) -> str:
    return str(use.get("template") or (use.get("templateRef") or {}).get("template") or "inline")


def _left(step: Mapping[str, Any], near: Neighbours) -> frozenset[str] | None:
    return left_by(near.used(step), is_loop=any(step.get(name) is not None for name in LOOP_KINDS))


def _when(when: str, known: Tags, path: str) -> Iterator[Problem]:
    problems = list(unknown_tags(when, known, path))
    yield from problems
    if problems:
        return
    try:
        parse(replaced(when, lambda _: "1"), bare=True)
    except ValueError as error:
        yield path, f"{error}: write a condition such as '{{{{steps.a.outputs.result}}}} == yes'"


def _outputs(template: Template, known: Tags, path: str) -> Iterator[Problem]:
    for index, output in enumerate(parameters(template, "outputs")):
        where = f"{path}.outputs.parameters[{index}].valueFrom"
        source = output["valueFrom"]
        if "expression" in source:
            yield from expression_problems(source["expression"], known, f"{where}.expression")
        elif not tags(source.get("parameter")):
            yield where, "needs a `parameter` such as {{tasks.train.outputs.parameters.auc}}, or an `expression`"
        yield from unknown_tags({key: source[key] for key in ("parameter", "default") if key in source}, known, where)
    yield from _artifacts(template, "outputs", known, path)


def _artifacts(holder: Mapping[str, Any], section: str, known: Tags, path: str) -> Iterator[Problem]:
    """Check the artifacts that `arguments`, or the outputs of a dag or steps, take from nodes."""
    for index, item in enumerate(artifacts(holder, section)):
        where = f"{path}.{section}.artifacts[{index}]"
        yield from unknown_tags({key: one for key, one in item.items() if key != "fromExpression"}, known, where)
        if "fromExpression" in item:
            yield from expression_problems(item["fromExpression"], known, f"{where}.fromExpression")


def _bad_order(graph: Mapping[str, Collection[str]], tasks: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for index, (name, others) in enumerate(graph.items()):
        if len(others) > MOST:
            yield f"{path}[{index}]", f"waits for {len(others)} tasks; the local engine takes at most {MOST}"
            return
        if why := flaw(depends_of(tasks[name])):
            yield f"{path}[{index}].depends", why
        for other in others:
            if other not in tasks:
                yield f"{path}[{index}]", f"waits for {cut(other)!r}: no such task; there are {some(tasks)}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield path, f"wait for each other: {some(error.args[1], ' → ')}"


def _before(graph: Mapping[str, Collection[str]]) -> Callable[[str], Iterator[str]]:
    """Return a function that yields the tasks before a given one. Bit masks, as there may be a million pairs."""
    bits = {name: 1 << i for i, name in enumerate(graph)}
    masks: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        masks[name] = reduce(or_, (bits[other] | masks[other] for other in graph[name]), 0)
    return lambda name: (other for other, bit in bits.items() if masks[name] & bit)
