"""PURE: parameters that a template pastes into a script: whoever chooses the value runs commands there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HOLE = re.compile(r"\{\{-?\s*=?[^}]*?(?:inputs|workflow)\.parameters(?:\.([\w-]+)|\['([\w-]+)'\])[^}]*\}\}")
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "python", "python3", "perl", "node"})
_RUNS_TEXT = frozenset({"-c", "-ec", "-lc", "-exc", "-e"})


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
    shell = any(str(text).rpartition("/")[2] in _SHELLS for _, text in words)
    code = False
    for field, text in words:
        if shell and code:
            yield from _holes(text, f"{where}.{field}")
        code = code or str(text) in _RUNS_TEXT


def _holes(text: Any, where: str) -> Iterator[Pasted]:
    if isinstance(text, str):
        for found in dict.fromkeys(one or other for one, other in _HOLE.findall(text)):
            yield Pasted(found, where)
