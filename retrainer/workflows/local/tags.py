"""PURE: the `{{…}}` tags of a template, and the private `/tmp` of a step."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OPEN, _CLOSE = "{{", "}}"
# `/tmp` at the beginning of a path: neither `/var/tmp` nor `/tmpfile`.
_PRIVATE = re.compile(r"(?<![\w./-])/tmp(?![\w.-])")


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


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace tags by values, in one pass: tags within a value stay as they are. Raise KeyError for an unknown tag."""
    parts, at = [], 0
    for tag in _each(text):
        parts += [text[at : tag.start], values[tag.name]]
        at = tag.end
    return "".join((*parts, text[at:]))


def private(text: str, folder: str) -> str:
    """Replace `/tmp` in each path by `folder`, because a container has its own `/tmp`."""
    return _PRIVATE.sub(lambda _: folder, text)


def scalar(value: object) -> str:
    """Return a YAML scalar as Argo passes it on: text as it is, `true` and `false` in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
