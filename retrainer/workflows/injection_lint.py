"""PURE: finds parameters that a template inserts into a script, where their values can execute commands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.workflows.local.tags import tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PARAMETER = re.compile(r"(?:inputs|workflow)\.parameters(?:\.([\w-]+)|\['([\w-]+)'\])")
_RUNS_NEXT = {
    **dict.fromkeys(("sh", "bash", "ash", "dash", "zsh", "ksh"), re.compile(r"-[a-zA-Z]*c")),
    **dict.fromkeys(("python", "python3"), re.compile(r"-[a-zA-Z]*c")),
    **dict.fromkeys(("perl", "node", "ruby"), re.compile(r"-[a-zA-Z]*e|--eval")),
}
"""By program name: the option whose following word is code. The words after that are its arguments."""


class Injection(NamedTuple):
    """``parameter`` is inserted into code at ``where`` (a field path of the template)."""

    parameter: str
    where: str


def pasted(manifest: Mapping[str, Any]) -> Iterator[Injection]:
    """Find injections in the spec of a Workflow or WorkflowTemplate."""
    for spec in _maps(manifest.get("spec")):
        for name, template in _templates(spec):
            for script in _maps(template.get("script")):
                yield from _holes(script.get("source"), f"{name}.script.source")
            for kind in ("container", *("initContainers", "sidecars")):
                for container in _maps(template.get(kind)):
                    yield from _container(container, f"{name}.{kind}")


def _templates(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the templates of a spec with their names, also those that are written into a step or a task."""
    for template in _maps(spec.get("templates")):
        name = template.get("name", "")
        yield name, template
        groups = [*_list(template.get("steps")), *(dag.get("tasks") for dag in _maps(template.get("dag")))]
        for step in (step for group in groups for step in _maps(group)):
            yield from ((f"{name}.{step.get('name', '')}.inline", inline) for inline in _maps(step.get("inline")))


def _maps(value: Any) -> list[dict[str, Any]]:
    """Return the maps of a list, or a single map as a list. Other shapes are reported elsewhere."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _container(container: Mapping[str, Any], where: str) -> Iterator[Injection]:
    words = [(field, text) for field in ("command", "args") for text in _list(container.get(field))]
    option: re.Pattern[str] | None = None
    code = False
    for field, text in words:
        if code:
            yield from _holes(text, f"{where}.{field}")
        option = _RUNS_NEXT.get(str(text).rpartition("/")[2], option)
        code = not code and option is not None and option.fullmatch(str(text)) is not None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _holes(text: Any, where: str) -> Iterator[Injection]:
    if isinstance(text, str):
        inside = (found for tag in tags(text) for found in _PARAMETER.findall(tag))
        for found in dict.fromkeys(one or other for one, other in inside):
            yield Injection(found, where)
