"""CEL in a configuration: it compiles, reads only names that exist, and Argo's braces stay out of parameters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrainer.config.check_boolean import check_boolean
from retrainer.config.errors import did_you_mean
from retrainer.config.finding import Finding
from retrainer.rules.expression import Program, compile_cel
from retrainer.rules.parameters import compile_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.tree import Path

EVENT = frozenset({"event"})
RUN = frozenset({"rule", "key", "trigger", "window", "events", "run", "previous", "upstream", "champion"})
FIELDS = {
    "event": ("source", "id", "type", "time", "subject", "data", "attributes"),
    "rule": ("name", "labels"),
    "trigger": ("name", "reason", "scheduled_at", "names", "values"),
    "window": ("start", "end", "events", "bytes", "rows", "first_key", "last_key", "parts"),
    "run": ("id", "name", "attempt", "namespace", "manifest_uri"),
    "previous": ("id", "phase", "ended_at", "outputs", "parameters"),
    "champion": ("id", "phase", "ended_at", "outputs", "parameters"),
    "upstream": ("id", "rule", "key", "phase", "outputs", "parameters"),
}
"""What stands beneath the names that are no plain values."""
_MACRO_VARIABLE = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w+)\s*,")
_FIELD = re.compile(r"(?<![\w.])(\w+)\s*\.\s*(\w+)(?!\s*\()")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_COLUMN = re.compile(r"column (\d+): ")


def check_cel(path: Path, text: str, scope: frozenset[str], *, boolean: bool = False) -> Iterator[Finding]:
    """Find what keeps an expression over the names of ``scope`` from being evaluated."""
    try:
        program = compile_cel(text)
    except ValueError as error:
        yield _syntax(path, str(error), 0)
        return
    yield from _names(path, program, scope, 0)
    if boolean:
        yield from check_boolean(path, program)


def check_parameter(path: Path, value: str | float | bool) -> Iterator[Finding]:
    """Find what keeps an argument of a run, a text with `${CEL}` holes, from being rendered."""
    if not isinstance(value, str):
        return
    if "{{" in value:
        hint = "`${{ name }}` holes belong into `templates`; everywhere else write `${…}`"
        yield Finding(path, "a parameter must not contain `{{`: Argo would expand it", hint, value.find("{{"))
        return
    try:
        template = compile_template(value)
    except ValueError as error:
        hole = max(start for start in _starts(value) if _compiles(value[:start]))
        yield _syntax(path, str(error), hole + 2)
        return
    for part in template.parts:
        if isinstance(part, Program):
            yield from _names(path, part, RUN, value.find(part.text))


def _syntax(path: Path, message: str, start: int) -> Finding:
    column = _COLUMN.search(message)
    said = re.sub(r" expecting \{.*|: Failed to parse.*", "", _COLUMN.sub("", message), flags=re.DOTALL)
    said = re.sub(r"OtherError\(.*msg: \"(.*?)\".*", r"\1", said, flags=re.DOTALL).replace("'<EOF>'", "the end")
    hint = (
        "close the hole with `}`"
        if "not closed" in said
        else "split it, or filter with `match` first"
        if "at most" in said
        else ""
    )
    return Finding(path, said, hint or "correct the expression here", start + int(column[1]) - 1 if column else start)


def _names(path: Path, program: Program, scope: frozenset[str], start: int) -> Iterator[Finding]:
    text = _LITERAL.sub(lambda literal: "_" * len(literal[0]), program.text)
    own = set(_MACRO_VARIABLE.findall(text))
    for name in sorted(program.variables - scope - own):
        found = re.search(rf"(?<![\w.]){re.escape(name)}\b", text)
        yield Finding(
            path,
            f"unknown name `{name}` in an expression",
            did_you_mean(name, scope),
            start + (found.start() if found else 0),
        )
    for found in _FIELD.finditer(text):
        name, field = found.groups()
        if name in scope - own and field not in FIELDS.get(name, (field,)):
            hint = did_you_mean(field, FIELDS[name])
            yield Finding(path, f"`{name}` has no `{field}`", hint, start + found.start(2))


def _starts(value: str) -> list[int]:
    return [found.start() for found in re.finditer(r"\$\{", value)]


def _compiles(value: str) -> bool:
    try:
        compile_template(value)
    except ValueError:
        return False
    return True
