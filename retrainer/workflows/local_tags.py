"""PURE: the `{{…}}` tags of a template, and the `/tmp` that every step has for itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TAG = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
# `/tmp` as the beginning of a path: neither `/var/tmp` nor `/tmpfile`.
_PRIVATE = re.compile(r"(?<![\w./-])/tmp(?![\w.-])")


def tags(value: object) -> list[str]:
    """Name every tag in the texts of a JSON-shaped value, `{{inputs.parameters.x}}` as `inputs.parameters.x`."""
    if isinstance(value, str):
        return _TAG.findall(value)
    if isinstance(value, dict):
        return [tag for item in value.values() for tag in tags(item)]
    if isinstance(value, list):
        return [tag for item in value for tag in tags(item)]
    return []


def unclosed(value: object) -> bool:
    """Tell whether a text of a JSON-shaped value opens a tag that never ends."""
    if isinstance(value, str):
        return "{{" in _TAG.sub("", value)
    if isinstance(value, dict):
        return any(unclosed(item) for item in value.values())
    return isinstance(value, list) and any(unclosed(item) for item in value)


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Put values in for tags, in one pass: a tag inside a value stays as it is. Raise KeyError on an unknown tag."""
    return _TAG.sub(lambda found: values[found[1]], text)


def private(text: str, folder: str) -> str:
    """Let every path under `/tmp` point into `folder`, as a container has a `/tmp` of its own."""
    return _PRIVATE.sub(lambda _: folder, text)


def scalar(value: object) -> str:
    """Write a YAML scalar as Argo passes it on: text as it is, `true` and `false` in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
