"""PURE: parameters that a template pastes into a script: whoever chooses the value runs commands there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HOLE = re.compile(r"\{\{-?\s*=?[^}]*?(?:inputs|workflow)\.parameters(?:\.([\w-]+)|\['([\w-]+)'\])[^}]*\}\}")
_RUNS_NEXT = {
    **dict.fromkeys(("sh", "bash", "ash", "dash", "zsh", "ksh"), re.compile(r"-[a-zA-Z]*c")),
    **dict.fromkeys(("python", "python3"), re.compile(r"-[a-zA-Z]*c")),
    **dict.fromkeys(("perl", "node", "ruby"), re.compile(r"-[a-zA-Z]*e|--eval")),
}
"""By the name of a program, the option after which a word is code; what follows that word is its arguments."""


class Pasted(NamedTuple):
    """``parameter`` is pasted into code at ``where`` (a field path of the template)."""

    parameter: str
    where: str


def pasted(manifest: Mapping[str, Any]) -> Iterator[Pasted]:
    """Find them in the spec of a Workflow or WorkflowTemplate."""
    spec = manifest.get("spec") or {}
    for template in spec.get("templates") or ():
        name = template.get("name", "")
        script = template.get("script") or {}
        yield from _holes(script.get("source"), f"{name}.script.source")
        for kind in ("container", *("initContainers", "sidecars")):
            found = template.get(kind) or ()
            for container in (found,) if isinstance(found, dict) else found:
                yield from _container(container, f"{name}.{kind}")


def _container(container: Mapping[str, Any], where: str) -> Iterator[Pasted]:
    words = [("command", text) for text in container.get("command") or ()]
    words += [("args", text) for text in container.get("args") or ()]
    option: re.Pattern[str] | None = None
    code = False
    for field, text in words:
        if code:
            yield from _holes(text, f"{where}.{field}")
        option = _RUNS_NEXT.get(str(text).rpartition("/")[2], option)
        code = not code and option is not None and option.fullmatch(str(text)) is not None


def _holes(text: Any, where: str) -> Iterator[Pasted]:
    if isinstance(text, str):
        for found in dict.fromkeys(one or other for one, other in _HOLE.findall(text)):
            yield Pasted(found, where)
