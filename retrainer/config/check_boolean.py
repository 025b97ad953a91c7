"""Conditions in CEL: one that can never be true or false is found by trying it with fields of every type."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrainer.config.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
_NAME = re.compile(r"\w+")
_KINDS = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "a map", datetime: "a moment"}
_HINT = "compare something, such as `event.data.size > 0`"


def check_boolean(path: Path, program: Program) -> Iterator[Finding]:
    """Find a condition that gives something else whatever it reads. ``path`` is where it stands."""
    if not program.variables:
        yield from _constant(path, program)
    elif "?" not in program.text:  # what is tried may never come to one of its ends
        given = _given(program)
        if not isinstance(given, bool):
            yield Finding(path, f"it gives {_KINDS.get(type(given), 'a value')}, not true or false", _HINT, 0)


def _constant(path: Path, program: Program) -> Iterator[Finding]:
    try:
        value = program.evaluate({})
    except ValueError as error:
        yield Finding(path, str(error), "it is the same for each event; correct it", 0)
        return
    if not isinstance(value, bool):
        yield Finding(path, f"it is always {value!r}, not true or false", _HINT, 0)


def _given(program: Program) -> Any:
    """True or false if any type of values gives that, or none makes sense; else what one of them gives."""
    given: Any = True
    names = sorted({tuple(_NAME.findall(found)) for found in _PATH.findall(program.text)}, key=len, reverse=True)
    for value in _TRIED:
        try:
            given = program.evaluate(_scope(program, names, value))
        except ValueError:
            continue
        if isinstance(given, bool):
            break
    return given


def _scope(program: Program, paths: Sequence[Sequence[str]], value: Any) -> dict[str, Any]:
    """All that the expression reads, down to its fields, which have this value."""
    scope: dict[str, Any] = {
        name: {field: {} if known == {} else known for field, known in _KNOWN[name].items()}
        for name in program.variables & _KNOWN.keys()
    }
    for names in paths:
        if names[0] in program.variables:
            _set(scope, names, value)
    return scope


def _set(scope: dict[str, Any], names: Sequence[str], value: Any) -> None:
    for name in names[:-1]:
        if not isinstance(scope, dict):
            return  # a field of what has none
        scope = scope.setdefault(name, {})
    if isinstance(scope, dict):
        scope.setdefault(names[-1], value)
