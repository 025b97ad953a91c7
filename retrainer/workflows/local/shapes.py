"""PURE: the form of a manifest: which fields it may have, with which kinds of values."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Problem = tuple[str, str]
MOST = 1000
"""Items of one list (parameters, templates, tasks, ...): references are searched in them."""
LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping with exactly these fields."""

    required: Mapping[str, object] = field(default_factory=dict)
    optional: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Each:
    """A mapping of any names to values of one shape."""

    shape: object


@dataclass(frozen=True, slots=True)
class Refusal:
    """A field that is known and cannot be supported. ``why`` says what to write instead."""

    why: str


_NAMED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
TEXT = "text"
NAME = "name"  # also the name of a folder
NUMBER = "number"
FLAG = "flag"
ANY = "any"
IGNORED = "ignored"  # concerns pods only, and does not affect what a step computes
NOTED = "noted"  # ignored too, but whoever wrote it may wonder why it has no effect


def misshapen(value: object, shape: object, path: str) -> Iterator[Problem]:
    """Yield what does not have the form of a shape, each with its path."""
    if isinstance(shape, Fields):
        yield from _misfits(value, shape, path)
    elif isinstance(shape, Each):
        names = dict.fromkeys(value, shape.shape) if isinstance(value, dict) else {}
        yield from _misfits(value, Fields(optional=names), path)
    elif isinstance(shape, Refusal):
        yield path, shape.why
    elif isinstance(shape, list):
        yield from _bad_items(value, shape[0], path)
    elif (why := _WHYS.get(str(shape))) and not why[0](value):
        yield path, why[1]


def _bad_items(value: object, shape: object, path: str) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield path, "must be a list"
        return
    if len(value) > MOST:
        yield path, f"has {len(value)} entries; the local engine takes at most {MOST}"
        return
    for index, item in enumerate(value):
        yield from misshapen(item, shape, f"{path}[{index}]")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME and _NAMED.fullmatch(value) is not None


_WHYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    TEXT: (lambda value: value is not None and not isinstance(value, dict | list), "must be a single value"),
    NAME: (_is_name, f"must be a name of letters, digits, `-` and `_`, at most {LONGEST_NAME} of them"),
    NUMBER: (lambda value: isinstance(value, int) and not isinstance(value, bool), "must be a whole number"),
    FLAG: (lambda value: isinstance(value, bool), "must be true or false"),
}


def _misfits(value: object, shape: Fields, path: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield path, "must be a mapping"
        return
    known = {**shape.required, **shape.optional}
    for name, item in value.items():
        if name in known:
            yield from misshapen(item, known[name], f"{path}.{name}")
        else:
            yield (
                f"{path}.{str(name)[:LONGEST_NAME]}",
                f"the local engine does not support this; it supports {', '.join(_supported(known))}",
            )
    for name in shape.required:
        if name not in value:
            why = "is needed: there is no image whose entrypoint could run" if name == "command" else "is needed"
            yield f"{path}.{name}", why


def _supported(fields: Mapping[str, object]) -> list[str]:
    return sorted(name for name, shape in fields.items() if shape != NOTED and not isinstance(shape, Refusal))


def noted(value: object, shape: object, path: str) -> Iterator[str]:
    """Yield the paths of the fields that are set and have no effect here. The value must have the form of the shape."""
    if isinstance(shape, Fields) and isinstance(value, dict):
        known = {**shape.required, **shape.optional}
        for name, item in value.items():
            yield from noted(item, known.get(name), f"{path}.{name}")
    elif isinstance(shape, Each) and isinstance(value, dict):
        for name, item in value.items():
            yield from noted(item, shape.shape, f"{path}.{name}")
    elif isinstance(shape, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from noted(item, shape[0], f"{path}[{index}]")
    elif shape == NOTED:
        yield path
