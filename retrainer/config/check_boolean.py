"""Conditions in CEL: one that can never be true or false is found by trying it with fields of every type."""

from __future__ import annotations

import re
from copy import deepcopy
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrainer.config.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.tree import Path
    from retrainer.rules.expression import Program

_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_TRIED: tuple[Any, ...] = (True, 1, 1.0, "1", _MOMENT, [True], [1], ["1"])
_KNOWN: dict[str, Mapping[str, Any]] = {
    "event": {**dict.fromkeys(("source", "id", "type", "subject"), "1"), "time": _MOMENT, "data": {}, "attributes": {}},
    "upstream": dict.fromkeys(("id", "rule", "key", "phase"), "1") | {"outputs": {}, "parameters": {}},
}
"""Fields whose type does not hang on what comes."""
_PATH = re.compile(r"(?<![\w.'\"])(\w+(?:\s*\.\s*\w+(?!\s*\())*)")
_KINDS = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a map", datetime: "a moment"}
_HINT = "compare something, such as `event.data.size > 0`"


def check_boolean(path: Path, program: Program) -> Iterator[Finding]:
    """Find a condition that gives something else whatever it reads. ``path`` is where it stands."""
    if not program.variables:
        yield from _constant(path, program)
    elif "?" not in program.text:  # what is tried may never come to one of its ends
        found = _results(program)
        if found and not any(isinstance(value, bool) for value in found):
            yield Finding(path, f"it gives {_KINDS.get(type(found[0]), 'a value')}, not true or false", _HINT, 0)


def _constant(path: Path, program: Program) -> Iterator[Finding]:
    try:
        value = program.evaluate({})
    except ValueError as error:
        yield Finding(path, str(error), "it is the same for each event; correct it", 0)
        return
    if not isinstance(value, bool):
        yield Finding(path, f"it is always {value!r}, not true or false", _HINT, 0)


def _results(program: Program) -> list[Any]:
    """What it gives for values of each type; where one makes no sense there is no result."""
    results: list[Any] = []
    for value in _TRIED:
        try:
            results.append(program.evaluate(_scope(program, value)))
        except ValueError:
            continue
    return results


def _scope(program: Program, value: Any) -> dict[str, Any]:
    """All that the expression reads, down to its fields, which have this value."""
    scope: dict[str, Any] = {name: deepcopy(_KNOWN[name]) for name in program.variables & _KNOWN.keys()}
    for found in sorted(_PATH.findall(program.text), key=len, reverse=True):
        names = [name.strip() for name in found.split(".")]
        if names[0] in program.variables:
            _set(scope, names, value)
    return scope


def _set(scope: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        if not isinstance(scope, dict):
            return  # a field of what has none
        scope = scope.setdefault(name, {})
    if isinstance(scope, dict):
        scope.setdefault(names[-1], value)
