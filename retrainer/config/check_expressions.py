"""Check CEL and globs in a configuration: they compile and fit their field; parameters do not contain `{{` of Argo."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrainer.config.errors import cut, did_you_mean
from retrainer.config.violation import Violation
from retrainer.rules.cel.check import Type, check
from retrainer.rules.cel.errors import ExpressionError, SyntaxProblem
from retrainer.rules.cel.functions import KINDS, WORDS
from retrainer.rules.cel.parse import parse
from retrainer.rules.cel.syntax import free_names
from retrainer.rules.cel.values import shown
from retrainer.rules.environment import EVENT_FIELDS
from retrainer.rules.expression import Program, compile_cel
from retrainer.rules.glob import SPECIAL, GlobError, glob_to_regex
from retrainer.rules.parameters import MAX_RENDERED, HoleError, as_text, compile_template, refuse_braces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.tree import Path

_BRACES = re.compile(r"\$?\{\{\s*([A-Za-z_]+)[^{}]*\}\}")
_OF_ARGO = {
    "workflow.name": "run.name",
    "workflow.namespace": "run.namespace",
    "workflow.uid": "run.id",
    "workflow.scheduledTime": "trigger.scheduled_at",
    "ts": "trigger.scheduled_at",
    "execution_date": "trigger.scheduled_at",
    "logical_date": "trigger.scheduled_at",
    "data_interval_start": "window.start",
    "data_interval_end": "window.end",
}
"""Variables of Argo and Airflow, by their names there."""
BOOLEAN = frozenset({"bool"})
NUMBER = frozenset({"int", "uint", "double"})
NAME = frozenset({"text", "int", "uint"})
TIME = NUMBER | {"text", "moment"}
_ASKED = {
    BOOLEAN: ("true or false", "compare something, such as `event.data.size > 0`"),
    NUMBER: ("a number", "use a field that is a number, or convert: int(…), double(…)"),
    NAME: ("a text or a whole number", "use a field that is one, or convert a number or a time: string(…)"),
    TIME: ("a timestamp", "use a field such as `data.created_at`"),
}


def check_cel(path: Path, text: str | None, scope: Mapping[str, Type], gives: frozenset[str]) -> Iterator[Violation]:
    """Check that an expression, if there is one, can be evaluated with this scope to a type in ``gives``."""
    if text is None:
        return
    try:
        node = parse(text)
    except SyntaxProblem as problem:
        yield _syntax(path, problem, 0)
        return
    found, mistakes = check(node, scope, {})
    for mistake in mistakes:
        yield Violation(path, mistake.message, mistake.hint, mistake.at)
    if not mistakes and not free_names(node):
        yield from _constant(path, compile_cel(text), gives)
    elif not mistakes:
        yield from _result(path, text, found, gives)


def _result(path: Path, text: str, found: Type, gives: frozenset[str]) -> Iterator[Violation]:
    kind = found.kind
    if kind != "any" and kind not in gives:
        asked, hint = _ASKED[gives]
        if found.fields and gives != BOOLEAN:
            fitting = [name for name, of in found.fields.items() if of.kind in gives]
            also = f"; here also: {', '.join(fitting[1:])}" if fitting[1:] else ""
            hint = f"write a field of it, such as `{text}.{fitting[0]}`{also}" if fitting else "write a field of it"
        elif kind == "map" and gives != BOOLEAN:
            hint = f"write a field of it, such as `{text}.FIELD`"
        elif kind in ("moment", "double") and gives == NAME:
            hint = f"write `string({text})`"
        elif kind == "text" and gives == NUMBER:
            hint = f"write `double({text})`, or a field that is a number"
        yield Violation(path, f"it gives {'a number' if kind in NUMBER else WORDS[kind]}, not {asked}", hint, 0)


def _constant(path: Path, program: Program, gives: frozenset[str]) -> Iterator[Violation]:
    try:
        value = program.evaluate({})
    except ExpressionError as error:
        yield Violation(path, str(error), "it is the same for each event; correct it", 0)
        return
    asked, hint = _ASKED[gives]
    if KINDS.get(type(value)) not in gives:
        yield Violation(path, f"it is always {shown(value)}, not {asked}", hint, 0)
    elif value == "" and gives == NAME:
        yield Violation(path, "it is always an empty string, which is not allowed", hint, 0)


def check_parameter(
    path: Path, value: str | float | bool, scope: Mapping[str, Type], absent: Mapping[str, str]
) -> Iterator[Violation]:
    """Check that an argument of a run, a text with `${CEL}` expressions, can be rendered.

    ``absent`` has the variables that the rule does not have, and what adds them.
    """
    if not isinstance(value, str):
        return
    if "{{" in value:
        yield Violation(
            path, "a parameter must not contain `{{`: Argo would expand it", _of_braces(value, scope), value.find("{{")
        )
        return
    try:
        template = compile_template(value)
    except HoleError as error:
        yield _syntax(path, error.problem, error.start)
        return
    for start, part in template.holes():
        mistakes = check(parse(part.text), scope, absent)[1]
        for mistake in mistakes:
            hint = mistake.hint.replace("${…}", f"${{{cut(part.text, 60)}}}")  # what the rule lacks, or this, goes
            yield Violation(path, mistake.message, hint, start + mistake.at)
        if not mistakes and not part.variables:
            yield from _rendered(path, part, start)
    yield from _literal(path, "".join(part for part in template.parts if isinstance(part, str)))


def _of_braces(value: str, scope: Mapping[str, Type]) -> str:
    """What to write instead of `{{ … }}`, as Jinja, Airflow and GitHub Actions have it."""
    found = _BRACES.search(value)
    name = found[0].strip("${} ") if found else ""
    name = _OF_ARGO.get(name, name)
    if name.partition(".")[0] in scope:
        return f"write `${{{name}}}`"
    return "`${{ name }}` is allowed in `templates` only; elsewhere write `${…}`"


def _literal(path: Path, text: str) -> Iterator[Violation]:
    if "\0" in text:
        yield Violation(path, "a parameter must not contain a NUL", "remove it", None)
    elif len(text.encode()) > MAX_RENDERED:
        yield Violation(
            path,
            f"{len(text.encode())} bytes; all parameters together may have at most {MAX_RENDERED}",
            "pass a reference instead",
        )


def _rendered(path: Path, part: Program, start: int) -> Iterator[Violation]:
    """Render an expression without variables, whose value is the same for each run."""
    try:
        refuse_braces(as_text(part.evaluate({})))
    except ValueError as error:
        yield Violation(path, str(error), "it is the same for each run; correct it", start)


def _syntax(path: Path, problem: SyntaxProblem, start: int) -> Violation:
    bounds = re.search(r"at most|nested|`{`|is not closed", str(problem))
    said = str(problem) if bounds else f"not a CEL expression: {problem}"
    return Violation(path, said, problem.hint or "correct the expression here", start + problem.at)


def check_match(path: Path, match: Mapping[str, str | int | float | bool]) -> Iterator[Violation]:
    """Check the globs among the expected values."""
    for field, expected in match.items():
        if isinstance(expected, str) and SPECIAL.search(expected):
            yield from check_glob((*path, field), expected)


def check_glob(path: Path, glob: str) -> Iterator[Violation]:
    try:
        glob_to_regex(glob)
    except GlobError as error:
        yield Violation(path, f"not a glob: {error}", error.hint, error.at)


def check_fields(path: Path, match: Mapping[str, object]) -> Iterator[Violation]:
    """Report fields that an event does not have."""
    for field in match:
        parts = field.split(".")
        if "" in parts or field == "event":
            hint = "write `size`, `object.key` or `event.type`"
            yield Violation((*path, field), f"`{field}` is not a field", hint, of_key=True)
        elif parts[0] == "event" and parts[1] not in EVENT_FIELDS:
            hint = did_you_mean(parts[1], EVENT_FIELDS)
            yield Violation((*path, field), f"an event has no `{parts[1]}`", hint, of_key=True)
