"""PURE: JSONPath, as far as templates use it in `jsonpath(…)`: members, indexes, slices, `*` and conditions."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression_functions import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable

    Value = Any
    Condition = Callable[[str], Callable[[Value], bool]]

_STEP = re.compile(
    r"""\.\.|\.?(?P<name>[\w-]+|\*)|\[(?P<index>-?\d+|\*)\]|\[(?:'(?P<one>[^']*)'|"(?P<two>[^"]*)")\]
    |\[(?P<start>-?\d*):(?P<end>-?\d*)\]|\[\?\((?P<condition>.*?)\)\]""",
    re.VERBOSE,
)


def json_path(text: str, path: str, condition: Condition) -> Value:
    """Return what a path selects: a list if it may select several values. Raise ExpressionError or ValueError.

    ``condition`` compiles what is written in `[?(…)]`, where `@` is the element.
    """
    values, several, at = [json.loads(text)], False, 1
    if not path.startswith("$"):
        raise ExpressionError(f"a JSONPath begins with $: {path!r}")
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or found[0] == "..":
            raise ExpressionError(f"the local engine cannot follow {path[at:]!r} of the JSONPath {path!r}")
        at = found.end()
        several = several or "*" in (found["name"], found["index"]) or found.lastgroup in ("end", "condition")
        values = [inner for value in values for inner in _selected(value, found, condition)]
    if several:
        return values
    if not values:
        raise ExpressionError(f"there is no {path} in the JSON")
    return values[0]


def _selected(value: Value, found: re.Match[str], condition: Condition) -> list[Value]:
    if "*" in (found["name"], found["index"]):
        return list(value.values() if isinstance(value, dict) else value)
    if found["start"] is not None:
        start, end = (int(word) if word else None for word in (found["start"], found["end"]))
        return list(value[slice(start, end)])
    if found["index"] is not None:
        return value[int(found["index"]) :][:1] if isinstance(value, list) else []
    if found["condition"] is not None:
        return list(filter(condition(found["condition"]), value))
    key = next(word for word in (found["name"], found["one"], found["two"]) if word is not None)
    return [value[key]] if isinstance(value, dict) and key in value else []
