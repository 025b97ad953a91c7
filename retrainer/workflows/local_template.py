"""PURE: the part of Argo's WorkflowTemplate that the local engine runs, and what it refuses, with the field's path."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local_shape import SPEC, Problem, misshapen
from retrainer.workflows.local_tags import scalar, tags, unclosed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OUTPUT = re.compile(r"\{\{\s*tasks\.([\w-]+)\.outputs\.parameters\.([\w-]+)\s*\}\}")
_WORKFLOW_TAGS = frozenset({"workflow.name", "workflow.namespace", "workflow.uid"})


def unsupported(manifest: Mapping[str, Any]) -> list[Problem]:
    """Say what the local engine cannot run in a WorkflowTemplate or Workflow: (path of the field, what to do)."""
    spec = manifest.get("spec")
    problems = list(misshapen(spec, SPEC, "spec"))
    return problems or list(_meaning(spec))  # type: ignore[arg-type]  # its shape was just found good


def inputs(section: Mapping[str, Any]) -> dict[str, str | None]:
    """Read the parameters of `arguments` or `inputs` with their values; None where one must be given."""
    return {
        item["name"]: next((scalar(item[key]) for key in ("value", "default") if item.get(key) is not None), None)
        for item in section.get("parameters") or ()
    }


def kind(template: Mapping[str, Any]) -> str:
    return next((name for name in ("container", "script", "dag") if name in template), "")


def dependencies(task: Mapping[str, Any]) -> list[str]:
    return [*(task.get("dependencies") or ()), *_names(task.get("depends") or "")]


def _names(depends: str) -> list[str]:
    return [name.strip() for name in depends.split("&&")] if depends.strip() else []


def _meaning(spec: Mapping[str, Any]) -> Iterator[Problem]:
    named = {template["name"]: template for template in spec["templates"]}
    if len(named) < len(spec["templates"]):
        yield "spec.templates", "two templates have the same name"
        return
    if spec["entrypoint"] not in named:
        yield "spec.entrypoint", f"there is no template {spec['entrypoint']!r}; there are {', '.join(sorted(named))}"
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
    for index, output in enumerate((template.get("outputs") or {}).get("parameters") or ()):
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
    problems = [*_bad_order(tasks, where)]
    yield from problems
    if problems:
        return
    for index, task in enumerate(template["dag"]["tasks"]):
        yield from _task(task, tasks, named, known, f"{where}[{index}]")
    for index, output in enumerate((template.get("outputs") or {}).get("parameters") or ()):
        default = {key: value for key, value in output["valueFrom"].items() if key != "parameter"}
        yield from _unknown_tags(default, frozenset(), f"{path}.outputs.parameters[{index}].valueFrom")
        if not _comes_from(output["valueFrom"].get("parameter", ""), tasks, named):
            yield (
                f"{path}.outputs.parameters[{index}].valueFrom",
                "needs a `parameter` such as {{tasks.train.outputs.parameters.auc}} that a task of this dag has",
            )


def _bad_order(tasks: Mapping[str, Any], path: str) -> Iterator[Problem]:
    graph = {name: dependencies(task) for name, task in tasks.items()}
    for index, name in enumerate(graph):
        for other in graph[name]:
            if other not in tasks:
                why = "`depends` may only join tasks by `&&`" if tasks[name].get("depends") else "no such task"
                yield f"{path}[{index}]", f"waits for {other!r}: {why}; there are {', '.join(tasks)}"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield path, f"wait for each other: {' → '.join(error.args[1])}"


def _task(
    task: Mapping[str, Any], tasks: Mapping[str, Any], named: Mapping[str, Any], known: frozenset[str], path: str
) -> Iterator[Problem]:
    template = named.get(task["template"])
    if template is None or kind(template) == "dag":
        steps = sorted(name for name, item in named.items() if kind(item) != "dag")
        yield f"{path}.template", f"must be a container or script template; there are {', '.join(steps)}"
        return
    before = _ancestors(task["name"], tasks)
    given = {item["name"]: item["value"] for item in (task.get("arguments") or {}).get("parameters") or ()}
    outputs = {
        f"tasks.{name}.outputs.parameters.{item['name']}"
        for name in before
        for item in (named.get(tasks[name]["template"], {}).get("outputs") or {}).get("parameters") or ()
    }
    yield from _unknown_tags(list(given.values()), known | outputs, f"{path}.arguments")
    for name, value in inputs(template.get("inputs") or {}).items():
        if value is None and name not in given:
            yield f"{path}.arguments", f"template {task['template']!r} needs the parameter {name!r}"


def _ancestors(name: str, tasks: Mapping[str, Any]) -> set[str]:
    found: set[str] = set()
    ahead = dependencies(tasks[name])
    while ahead:
        other = ahead.pop()
        if other not in found:
            found.add(other)
            ahead += dependencies(tasks[other])
    return found


def _comes_from(reference: object, tasks: Mapping[str, Any], named: Mapping[str, Any]) -> bool:
    found = _OUTPUT.fullmatch(str(reference))
    if not found or found[1] not in tasks:
        return False
    template = named.get(tasks[found[1]]["template"], {})
    return any(item["name"] == found[2] for item in (template.get("outputs") or {}).get("parameters") or ())


def _bad_values(section: Mapping[str, Any], known: frozenset[str], path: str) -> Iterator[Problem]:
    """Values and defaults are filled before any `inputs.parameters` is known, those of the workflow by nothing."""
    for index, item in enumerate(section.get("parameters") or ()):
        for name in ("value", "default"):
            yield from _unknown_tags(item.get(name), known, f"{path}.parameters[{index}].{name}")


def _unknown_tags(value: object, known: frozenset[str] | set[str], path: str) -> Iterator[Problem]:
    could = f"it could fill {', '.join(sorted(known))}" if known else "write what it stands for"
    for tag in sorted(set(tags(value)) - known):
        yield path, f"the local engine cannot fill {{{{{tag}}}}} here; {could}"
    if unclosed(value):
        yield path, "a tag begins with {{ and never ends: write }} behind it"
