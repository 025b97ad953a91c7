"""Text to write instead of a value of the wrong type, made from the value and the JSON Schema of its place."""

from __future__ import annotations

import json
import re
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LONGEST = 120
LARGEST_SHOWN = 1e9
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
}
_MOST = 2
NAME_OF_TRIGGER = "NAME_OF_TRIGGER"
_KEYS = {"by": NAME_OF_TRIGGER}
"""Names for the keys of a map, by its field, where `name` would say too little."""
_NUMBER = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")
_BARE = re.compile(r"[A-Za-z_][\w./-]*|[0-9]+[a-z]+")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
_KINDS: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "a whole number": int,
    "a number": (int, float),
    "true or false": bool,
}
Schema = dict[str, Any]


def map_example(value: Any, parts: Sequence[Schema], resolved: Callable[[Schema], Sequence[Schema]]) -> str:
    """Return up to two maps that ``value`` could stand for, else the needed fields.

    ``parts`` are the JSON Schemas of the map; ``resolved`` follows the references of a part.
    """
    properties = {name: part for each in parts for name, part in each.get("properties", {}).items()}
    if not properties:
        return flow(entries(value)) if isinstance(value, list) and value else "{name: value}"
    needed = {name: _sample(properties[name]) for each in parts for name in each.get("required", ())}
    fitting = {name: value for name, part in properties.items() if any(_fits(value, each) for each in resolved(part))}
    if not fitting:
        fitting = dict(_nested(value, {n: resolved(p) for n, p in properties.items() if n in (needed or properties)}))
    maps = [{name: inner} | {n: s for n, s in needed.items() if n != name} for name, inner in fitting.items()]
    return " or ".join(map(flow, (maps or [needed or {next(iter(properties)): ...}])[:_MOST]))


def _nested(value: Any, properties: Mapping[str, Sequence[Schema]]) -> Iterator[tuple[str, Any]]:
    """Yield the first field whose map has a place for ``value``."""
    for name, parts in properties.items():
        for part in parts:
            if _fits(value, part.get("additionalProperties") or {}):
                yield name, {_KEYS.get(name, "name"): value}
                return
            for inner, below in part.get("properties", {}).items():
                if _fits(value, below):
                    yield name, {inner: value}
                    return


def _sample(part: Schema) -> Any:
    return (part.get("examples") or [...])[-1]


def list_example(value: Any) -> str:
    """Return a list with the value as its only item, or with the items of a text that is separated by commas."""
    items = [item.strip() for item in value.split(",")] if isinstance(value, str) else [value]
    return flow(items if isinstance(value, (str, int, float)) else [...])


def scalar_example(value: Any, kind: str) -> str:
    """Return the number that a text holds, or the only value of a map or list, if it is of the wanted kind.

    ``kind`` is ``text``, ``a number`` or another of the messages; it is returned if there is no such value.
    """
    if isinstance(value, float) and kind == "a whole number" and abs(value) < LARGEST_SHOWN:
        return str(ceil(value))
    if isinstance(value, str) and kind.endswith("number") and (found := _NUMBER.fullmatch(value)):
        return f"{float(found[1]) / (100 if found[2] else 1):g}"
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    wanted = _KINDS.get(kind)
    return flow(inner[0]) if wanted is not None and len(inner) == 1 and isinstance(inner[0], wanted) else kind


def flow(value: Any) -> str:
    """Return a value as YAML in one line, shortened; an Ellipsis stands for a value to be filled in."""
    text = _flow(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def entries(value: Any) -> Any:
    """Return a map of names to values that other tools write as a list; a map is returned as it is."""
    if not isinstance(value, list):
        return value if isinstance(value, dict) else ...
    pairs: dict[str, Any] = {}
    for item in value[:20]:
        if isinstance(item, dict) and isinstance(item.get("name"), str):
            pairs[item["name"]] = item.get("value", ...)
        elif isinstance(item, dict) and len(item) == 1:
            pairs |= item
        else:
            name, equals, given = str(item).partition("=")
            pairs[name.strip()] = given.strip() if equals else ...
    return pairs


def _fits(value: Any, part: Schema) -> bool:
    """Whether the type and pattern of a part accept the value."""
    for each in (part, *part.get("anyOf", ())):
        wanted = _TYPES.get(str(each.get("type")))
        if wanted is not None and isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool):
            short = isinstance(value, str) and len(value) <= LONGEST  # a pattern may take long for a longer text
            return not isinstance(value, str) or (short and re.search(each.get("pattern", ""), value) is not None)
    return False


def _flow(value: Any) -> str:
    if value is ...:
        return "…"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(each)}" for name, each in islice(value.items(), LONGEST)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value[:LONGEST])) + "]"
    if isinstance(value, str) and (not _BARE.fullmatch(value) or value.lower() in _WORDS):
        return json.dumps(value[: LONGEST + 1], ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)
