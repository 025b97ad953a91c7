"""PURE: the `{{…}}` tags of a template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.workflows.local.expression import parse
from retrainer.workflows.local.expression_functions import ExpressionError, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_OPEN, _CLOSE = "{{", "}}"


class _Tag(NamedTuple):
    """``start`` and ``end`` are positions in the text."""

    name: str
    start: int
    end: int


def _each(text: str) -> Iterator[_Tag]:
    """Yield each complete tag in one pass: a regular expression would search for the end again at each brace."""
    at = 0
    while (start := text.find(_OPEN, at)) >= 0 and (close := text.find(_CLOSE, start + 2)) >= 0:
        at = close + 2
        yield _Tag(text[start + 2 : close].strip(), start, at)


def _texts(value: object) -> Iterator[str]:
    """Yield the texts of a JSON-shaped value, without the keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def tags(value: object) -> list[str]:
    """Return all tags in the texts of a JSON-shaped value, `{{inputs.parameters.x}}` as `inputs.parameters.x`."""
    return [tag.name for text in _texts(value) for tag in _each(text)]


def unclosed(value: object) -> bool:
    """Return whether a text in a JSON-shaped value opens a tag that does not end."""
    return any(text.find(_OPEN, max((tag.end for tag in _each(text)), default=0)) >= 0 for text in _texts(value))


class TagError(ValueError):
    """A tag has no value. The message names it."""


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace tags by values, in one pass: tags within a value stay as they are. Raise TagError for one without value.

    `{{=…}}` is an expression over the values.
    """
    return replaced(text, lambda tag: _value(tag, values))


def replaced(text: str, value: Callable[[str], str]) -> str:
    """Replace each tag by what `value` returns for it."""
    parts, at = [], 0
    for tag in _each(text):
        parts += [text[at : tag.start], value(tag.name)]
        at = tag.end
    return "".join((*parts, text[at:]))


def _value(tag: str, values: Mapping[str, str]) -> str:
    if not tag.startswith("="):
        if tag not in values:
            raise TagError(f"{{{{{tag}}}}} has no value")
        return values[tag]
    try:
        return text_of(evaluate(tag[1:], values))
    except ExpressionError as error:
        raise TagError(f"{{{{{tag}}}}}: {error}") from error


def evaluate(expression: str, values: Mapping[str, object]) -> Any:
    """Return the value of an expression, whose variables are the tags. Raise ExpressionError."""
    return parse(expression).value(nested(values))


def nested(values: Mapping[str, object]) -> dict[str, Any]:
    """Return the values of tags as maps: `a.b` is `b` in `a`. A value that has members stands for them alone."""
    top: dict[str, Any] = {}
    for tag, value in values.items():
        *way, last = tag.split(".")
        at = top
        for word in way:
            inner = at.get(word)
            if not isinstance(inner, dict):
                inner = at[word] = {}
            at = inner
        if not isinstance(at.get(last), dict):
            at[last] = value
    return top


def scalar(value: object) -> str:
    """Return a YAML scalar as Argo passes it on: text as it is, `true` and `false` in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
