"""PURE: the subset of Argo's WorkflowTemplate that the local engine runs, and the errors for everything else."""

from __future__ import annotations

import re
from functools import reduce
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from operator import or_
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.fields import LONGEST_NAME, MOST, SPEC, Problem, misshapen
from retrainer.workflows.local.tags import scalar, tags, unclosed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

MOST_TOLD = 50
"""Problems that are reported per manifest."""
MOST_NAMED = 10
"""Names that a message lists."""
_OUTPUT = re.compile(r"tasks\.([\w-]+)\.outputs\.parameters\.([\w-]+)")
_WORKFLOW_TAGS = frozenset({"workflow.name", "workflow.namespace", "workflow.uid"})


def unsupported(manifest: Mapping[str, Any]) -> list[Problem]:
    """Return what the local engine cannot run in a WorkflowTemplate or Workflow: (path of the field, remedy).

    At most `MOST_TOLD` problems.
    """
    spec = manifest.get("spec")
    problems = list(islice(misshapen(spec, SPEC, "spec"), MOST_TOLD))
    return problems or list(islice(_meaning(spec), MOST_TOLD))  # type: ignore[arg-type]  # its shape was just checked


def inputs(section: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the parameters of `arguments` or `inputs` with their values; None for required ones."""
    return {
        item["name"]: next((scalar(item[key]) for key in ("value", "default") if item.get(key) is not None), None)
        for item in section.get("parameters") or ()
    }


def parameters(holder: Mapping[str, Any], section: str) -> Sequence[Mapping[str, Any]]:
    """Return the parameters of a section (arguments, inputs or outputs) of a spec, a template or a task."""
    return (holder.get(section) or {}).get("parameters") or ()


def kind(template: Mapping[str, Any]) -> str:
    return next((name for name in ("container", "script", "dag") if name in template), "")


def dependencies(task: Mapping[str, Any]) -> list[str]:
    return [*map(scalar, task.get("dependencies") or ()), *_names(scalar(task.get("depends") or ""))]


def _names(depends: str) -> list[str]:
    return [name.strip() for name in depends.split("&&")] if depends.strip() else []


def _meaning(spec: Mapping[str, Any]) -> Iterator[Problem]:
    named = {template["name"]: template for template in spec["templates"]}
    if len(named) < len(spec["templates"]):
        yield "spec.templates", "two templates have the same name"
        return
    if spec["entrypoint"] not in named:
        yield "spec.entrypoint", f"there is no template {spec['entrypoint']!r}; there are {_some(sorted(named))}"
    yield from _bad_values(spec.get("arguments") or {}, frozenset(), "spec.arguments")
    known = _WORKFLOW_TAGS | {f"workflow.parameters.{name}" for name in inputs(spec.get("arguments") or {})}
    for index, template in enumerate(spec["templates"]):
        path = f"spec.templates[{index}]"
        kinds = [name for name in ("container", "script", "dag") if name in template]
        if len(kinds) != 1:
            yield path, "must have exactly one of container, script and dag"
            continue
        known_here = known | {f"inputs.parameters.{name}" for name in inputs(template.get("inputs") or {})}
        yield from _bad_values(template.get("inputs") or {}, known, f"{path}.inputs")
        check = _dag if kinds == ["dag"] else _step
        yield from check(template, named, known_here, path)


def _step(
    template: Mapping[str, Any], _named: Mapping[str, Any], known: frozenset[str], path: str
) -> Iterator[Problem]:
    what = kind(template)
    yield from _unknown_tags(template[what], known, f"{path}.{what}")
    if not template[what]["command"]:
        yield f"{path}.{what}.command", "is empty"
    for index, output in enumerate(parameters(template, "outputs")):
        yield from _unknown_tags(output["valueFrom"], known, f"{path}.outputs.parameters[{index}].valueFrom")
        if not str(output["valueFrom"].get("path", "")).startswith("/tmp/"):  # noqa: S108 - each step has its own
            yield (
                f"{path}.outputs.parameters[{index}].valueFrom",
                "needs a `path` under /tmp/, which the local engine keeps apart for each step",
            )


def _dag(template: Mapping[str, Any], named: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[Problem]:
    tasks = {task["name"]: task for task in template["dag"]["tasks"]}
    where = f"{path}.dag.tasks"
    if len(tasks) < len(template["dag"]["tasks"]):
        yield where, "two tasks have the same name"
    graph = {name: dict.fromkeys(dependencies(task)) for name, task in tasks.items()}
    problems = [*islice(_bad_order(graph, tasks, where), MOST_TOLD)]
    yield from problems
    if problems:
        return
    before = _before(graph)
    given = {task["template"]: _outputs(named.get(task["template"], {})) for task in tasks.values()}
    for index, task in enumerate(template["dag"]["tasks"]):
        earlier = {name: given[tasks[name]["template"]] for name in before(task["name"])}
        yield from _task(task, earlier, named, known, f"{where}[{index}]")
    ended = {name: given[task["template"]] for name, task in tasks.items()}
    for index, output in enumerate(parameters(template, "outputs")):
        default = {key: value for key, value in output["valueFrom"].items() if key != "parameter"}
        yield from _unknown_tags(default, frozenset(), f"{path}.outputs.parameters[{index}].valueFrom")
        if not _comes_from(output["valueFrom"].get("parameter", ""), ended):
            yield (
                f"{path}.outputs.parameters[{index}].valueFrom",
                "needs a `parameter` such as {{tasks.train.outputs.parameters.auc}} that a task of this dag has",
            )


def _bad_order(graph: Mapping[str, Collection[str]], tasks: Mapping[str, Any], path: str) -> Iterator[Problem]:
    for index, (name, others) in enumerate(graph.items()):
        if len(others) > MOST:
            yield f"{path}[{index}]", f"waits for {len(others)} tasks; the local engine takes at most {MOST}"
            return
        for other in others:
            if other not in tasks:
                why = "`depends` may only join tasks by `&&`" if tasks[name].get("depends") else "no such task"
                yield f"{path}[{index}]", f"waits for {_cut(other)!r}: {why}; there are {_some(tasks)}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield path, f"wait for each other: {_some(error.args[1], ' → ')}"


def _before(graph: Mapping[str, Collection[str]]) -> Callable[[str], Iterator[str]]:
    """Return a function that yields the tasks before a given one. Bit masks, as there may be a million pairs."""
    bits = {name: 1 << i for i, name in enumerate(graph)}
    masks: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        masks[name] = reduce(or_, (bits[other] | masks[other] for other in graph[name]), 0)
    return lambda name: (other for other, bit in bits.items() if masks[name] & bit)


def _task(
    task: Mapping[str, Any],
    earlier: Mapping[str, frozenset[str]],
    named: Mapping[str, Any],
    known: frozenset[str],
    path: str,
) -> Iterator[Problem]:
    template = named.get(task["template"])
    if template is None or kind(template) == "dag":
        steps = sorted(name for name, item in named.items() if kind(item) != "dag")
        yield f"{path}.template", f"must be a container or script template; there are {_some(steps)}"
        return
    given = {item["name"]: item["value"] for item in parameters(task, "arguments")}
    values = list(given.values())
    outputs = (f"tasks.{other}.outputs.parameters.{name}" for other, names in earlier.items() for name in sorted(names))
    filled = {tag for tag in set(tags(values)) if _is_output(tag, earlier)}
    yield from _unknown_tags(values, known.union(filled, islice(outputs, MOST_NAMED)), f"{path}.arguments")
    for name, value in inputs(template.get("inputs") or {}).items():
        if value is None and name not in given:
            yield f"{path}.arguments", f"template {task['template']!r} needs the parameter {name!r}"


def _outputs(template: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(item["name"] for item in parameters(template, "outputs"))


def _is_output(tag: str, earlier: Mapping[str, frozenset[str]]) -> bool:
    found = _OUTPUT.fullmatch(tag)
    return found is not None and found[2] in earlier.get(found[1], ())


def _comes_from(reference: object, given: Mapping[str, frozenset[str]]) -> bool:
    """Whether a reference is a single tag and nothing else."""
    text = str(reference).strip()
    found = tags(text)
    return len(found) == 1 and text[:2] == "{{" and text[-2:] == "}}" and _is_output(found[0], given)


def _bad_values(section: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[Problem]:
    """Check values and defaults, which may not use `inputs.parameters`; those of the workflow may use no tag."""
    for index, item in enumerate(section.get("parameters") or ()):
        for name in ("value", "default"):
            yield from _unknown_tags(item.get(name), known, f"{path}.parameters[{index}].{name}")


def _some(names: Collection[str], sign: str = ", ") -> str:
    """List the first names only, to keep messages short."""
    more = f"{sign}and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return sign.join(islice(names, MOST_NAMED)) + more


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def _unknown_tags(value: object, known: frozenset[str] | set[str], path: str) -> Iterator[Problem]:
    could = f"it could fill {_some(sorted(known))}" if known else "write the value itself"
    for tag in sorted(set(tags(value)) - known):
        yield path, f"the local engine cannot fill {{{{{_cut(tag)}}}}} here; {could}"
    if unclosed(value):
        yield path, "a tag is not closed: write }} after it"
