"""Arguments of a run: texts with `${CEL}` expressions, rendered once, when the run is created."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.rules.cel.errors import SyntaxProblem
from retrainer.rules.cel.values import BUDGET, kind, shown, text_of_duration
from retrainer.rules.expression import Program, compile_cel
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_RENDERED = 128 * 1024
"""Maximum bytes of all arguments together: the limit of Linux for one argument of a program (MAX_ARG_STRLEN)."""
MAX_EVENTS = 1000
"""Maximum number of events in `events`: the newest of the window."""
MAX_EVENT_BYTES = 4 * 1024 * 1024
"""Maximum bytes of their data and attributes, counted from the newest. The newest event is always included."""


class HoleError(ValueError):
    """A `${…}` that does not compile. ``start`` is the index of its expression in the text."""

    def __init__(self, start: int, problem: SyntaxProblem) -> None:
        super().__init__(str(problem))
        self.start = start
        self.problem = problem


@dataclass(frozen=True, slots=True)
class ParameterTemplate:
    """Literal texts and expressions, in order."""

    parts: tuple[str | Program, ...]

    @property
    def variables(self) -> frozenset[str]:
        return frozenset().union(*(p.variables for p in self.parts if isinstance(p, Program)))

    @property
    def data_read(self) -> frozenset[str] | None:
        """Fields of `data` that are read from the events in `events`; None if any field may be read."""
        return joined(part.data_read for part in self.parts if isinstance(part, Program))

    def holes(self) -> Iterator[tuple[int, Program]]:
        """Each expression, and its index in the text."""
        at = 0
        for part in self.parts:
            if isinstance(part, Program):
                yield at + 2, part
            at += len(part) if isinstance(part, str) else len(part.text) + 3

    def render(self, scope: Mapping[str, Any], budget: int = BUDGET) -> tuple[str, int]:
        """The text, and the steps that remain of ``budget``. Raise ValueError if it cannot be rendered.

        Rendering stops at the part that makes the text too long: there may be thousands of parts.
        """
        texts, size = [], 0
        for part in self.parts:
            if isinstance(part, str):
                text = part
            else:
                value, budget = part.spend(scope, budget)
                text = as_text(value)
            texts.append(text)
            size += len(text)
            if size > MAX_RENDERED:
                raise ValueError(f"more than {MAX_RENDERED} bytes; pass `window` or a reference instead of the events")
        return "".join(texts), budget


def joined(fields: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """The union of all fields; None, which stands for any field, if one of them is None."""
    together: set[str] = set()
    for some in fields:
        if some is None:
            return None
        together |= some
    return frozenset(together)


def compile_template(value: str | float | bool) -> ParameterTemplate:
    """Compile. Raise ValueError for Argo's `{{`, HoleError for a `${` that is not closed or does not compile."""
    if not isinstance(value, str):
        return ParameterTemplate((as_text(value),))
    refuse_braces(value)
    parts: list[str | Program] = []
    at = 0
    while at < len(value):
        hole = value.find("${", at)
        if hole != at:
            parts.append(value[at : hole if hole >= 0 else len(value)])
        if hole < 0:
            break
        try:
            end = _closing(value[hole + 2 :])
            parts.append(compile_cel(value[hole + 2 : hole + 2 + end]))
        except SyntaxProblem as problem:
            raise HoleError(hole + 2, problem) from None
        at = hole + 3 + end
    return ParameterTemplate(tuple(parts))


def _closing(text: str) -> int:
    """Index of the brace that closes `${`; braces in maps and strings are skipped."""
    depth, quote, i = 0, "", 0
    while i < len(text):
        c = text[i]
        if quote:
            i += c == "\\"
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c == "{":
            depth += 1
        elif c == "}":
            if depth == 0:
                return i
            depth -= 1
        i += 1
    raise SyntaxProblem(0, "`${` is not closed by `}`", "write `}` behind the expression")


def refuse_braces(value: str) -> None:
    """Raise ValueError for `{{` in a value: Argo would expand it."""
    if "{{" in value:
        raise ValueError("a value must not contain `{{`: Argo would expand it")


def as_text(value: Any) -> str:
    """The text of an argument: RFC 3339 for moments, seconds for durations, JSON for lists and maps.

    Raise ValueError for a value that cannot be an argument.
    """
    if isinstance(value, (list, dict)):
        plain = _plain(value, [MAX_RENDERED])
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()  # CEL maps have no order
    if value is None:
        return ""
    return str(values.text(_scalar(value)))


def _scalar(value: Any) -> str | int | float | bool | None:
    """Keep null, booleans, numbers and text; convert the rest to text. Raise ValueError if that is impossible."""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds").replace("+00:00", "Z")
    if isinstance(value, timedelta):
        return text_of_duration(value)
    if isinstance(value, bytes):
        value = _decoded(value)
    if isinstance(value, str):
        return _proper(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("a whole number beyond 64 bits")
    if value is None or isinstance(value, (bool, int, float)):
        return value
    raise ValueError(f"{kind(value)} is nothing that an argument could be")


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the bytes {shown(value)} are no text") from None


def _proper(value: str) -> str:
    """Raise ValueError for characters that JSON or the stores do not support."""
    if "\0" in value:
        raise ValueError("a value must not contain a NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{shown(value)} is no text in Unicode") from None
    return value


def _plain(value: Any, room: list[int]) -> Any:
    """Convert to JSON types. ``room`` has the characters that may still be used; raise ValueError beyond that."""
    room[0] -= len(value) if isinstance(value, (str, bytes)) else 1
    if room[0] < 0:
        raise ValueError(f"more than {MAX_RENDERED} bytes; pass `window` or a reference instead of the events")
    if isinstance(value, dict):
        return {str(_plain(name, room)): _plain(inner, room) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, room) for inner in value]
    return _scalar(value)


def render(templates: Mapping[str, ParameterTemplate], scope: Mapping[str, Any]) -> dict[str, str]:
    """All arguments. Raise ValueError with the name of the parameter and the reason if one cannot be rendered.

    All parameters together may take the steps of one evaluation.
    """
    rendered: dict[str, str] = {}
    budget, size = BUDGET, 0
    for name, template in templates.items():
        try:
            rendered[name], budget = template.render(scope, budget)
            refuse_braces(rendered[name])
        except ValueError as error:
            raise ValueError(f"parameters.{name}: {error}") from None
        size += len(rendered[name].encode())
        if size > MAX_RENDERED:
            raise ValueError(
                f"parameters: more than the {MAX_RENDERED} bytes that are allowed; "
                "pass `window` or a reference instead of the events"
            )
    return rendered
