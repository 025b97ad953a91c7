"""Arguments of a run: texts with `${CEL}` holes, rendered once, when the run is born."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson

from retrainer import values
from retrainer.rules.expression import Program, compile_cel

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RENDERED = 100 * 1024
MAX_EVENTS = 1000


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts and expressions in turn."""

    parts: tuple[str | Program, ...]

    @property
    def variables(self) -> frozenset[str]:
        return frozenset().union(*(p.variables for p in self.parts if isinstance(p, Program)))

    def render(self, scope: Mapping[str, Any]) -> str:
        return "".join(p if isinstance(p, str) else as_text(p.evaluate(scope)) for p in self.parts)


def compile_template(value: str | float | bool) -> Template:
    """Compile; raise ValueError for a hole that does not close or compile, or for Argo's own braces."""
    if not isinstance(value, str):
        return Template((as_text(value),))
    refuse_braces(value)
    parts: list[str | Program] = []
    rest = value
    while rest:
        before, hole, after = rest.partition("${")
        if before:
            parts.append(before)
        if not hole:
            break
        end = _closing(after)
        parts.append(compile_cel(after[:end]))
        rest = after[end + 1 :]
    return Template(tuple(parts))


def _closing(text: str) -> int:
    """Index of the brace that closes the hole; braces in maps and in strings are passed over."""
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
    raise ValueError("`${` is not closed by `}`")


def refuse_braces(value: str) -> None:
    """Argo would expand `{{…}}` inside a value: raise ValueError."""
    if "{{" in value:
        raise ValueError("a value must not contain `{{`: Argo would expand it")


def as_text(value: Any) -> str:
    """The text an argument becomes: RFC 3339 for moments, JSON for lists and maps."""
    scalar = values.text(value)
    if scalar is not None:
        return scalar
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds" if value.microsecond else "seconds").replace("+00:00", "Z")
    if value is None:
        return ""
    if isinstance(value, (list, tuple, dict)):
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()  # CEL keeps the order of no map
    return str(value)


def render(templates: Mapping[str, Template], scope: Mapping[str, Any]) -> dict[str, str]:
    """All arguments; raise ValueError that names the parameter and says why it has no value."""
    rendered: dict[str, str] = {}
    for name, template in templates.items():
        try:
            rendered[name] = template.render(scope)
            refuse_braces(rendered[name])
        except ValueError as error:
            raise ValueError(f"parameters.{name}: {error}") from None
    size = sum(len(v.encode()) for v in rendered.values())
    if size > MAX_RENDERED:
        raise ValueError(
            f"parameters: {size} bytes rendered, at most {MAX_RENDERED} are allowed; "
            "pass `window` or a reference instead of the events"
        )
    return rendered
