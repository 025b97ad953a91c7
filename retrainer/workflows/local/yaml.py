"""Parses YAML as Kubernetes accepts it into plain values, in time and memory bounded by the text's length.

Anchors, aliases and merge keys are supported, up to a number of values. Timestamps stay texts.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml as libyaml  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DEPTH = 64
MAX_VALUES = 100_000
"""Values of one file; those repeated by aliases count each time."""
MAX_DIRECTIVES = 16
_LOADER = libyaml.CSafeLoader if libyaml.__with_libyaml__ else libyaml.SafeLoader
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_OCTAL = re.compile(r"[-+]?0[0-7]+")  # as in YAML 1.1, which Kubernetes reads: `mode: 0755`
_BASED = re.compile(r"0(x[0-9a-fA-F]{1,400}|o[0-7]{1,400})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


class UnreadableYamlError(ValueError):
    """The YAML is invalid. The message says what is wrong, with the line."""


class _Known(NamedTuple):
    """The value of an anchor, and its number of values; None while it is incomplete."""

    value: Any
    values: int | None


def read_all(text: str) -> list[Any]:
    """Return the documents. Raise UnreadableYamlError for invalid YAML, or if a limit is exceeded."""
    if text.startswith("%") and len(re.findall(r"^%", text, re.MULTILINE)) > MAX_DIRECTIVES:
        raise UnreadableYamlError(f"more than {MAX_DIRECTIVES} directives")
    try:
        return list(_Reader(text).documents())
    except libyaml.YAMLError as error:
        raise UnreadableYamlError(" ".join(str(error).split())[:400]) from None


class _Reader:
    def __init__(self, text: str) -> None:
        self._events = libyaml.parse(text, Loader=_LOADER)
        self._known: dict[str, _Known] = {}
        self._values = 0

    def documents(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, libyaml.DocumentStartEvent):
                self._known = {}
                yield self._value(next(self._events), 0)

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, libyaml.AliasEvent):
            return self._repeat(event)
        self._count(event, 1)
        if depth > MAX_DEPTH:
            raise _at(event, f"nested deeper than {MAX_DEPTH} levels")
        before = self._values
        if event.anchor:
            self._known[event.anchor] = _Known(None, None)
        value = self._one(event, depth)
        if event.anchor:
            self._known[event.anchor] = _Known(value, 1 + self._values - before)
        return value

    def _one(self, event: Any, depth: int) -> Any:
        if isinstance(event, libyaml.ScalarEvent):
            return _scalar(event)
        if event.tag:
            raise _at(event, f"the tag {event.tag} is not supported")
        if isinstance(event, libyaml.SequenceStartEvent):
            return self._list(depth)
        return self._map(event, depth)

    def _list(self, depth: int) -> list[Any]:
        found = []
        while not isinstance(event := next(self._events), libyaml.SequenceEndEvent):
            found.append(self._value(event, depth + 1))
        return found

    def _map(self, start: Any, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        below: dict[str, Any] = {}
        while not isinstance(event := next(self._events), libyaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if isinstance(key, dict | list):
                raise _at(event, "a key must be a text")
            value = self._value(next(self._events), depth + 1)
            if key == "<<" and isinstance(event, libyaml.ScalarEvent) and not event.style:
                below = _merged(start, value)
            elif (name := _text(key)) in found:
                raise _at(event, f"the key {name[:40]!r} is written twice here")
            else:
                found[name] = value
        return {**below, **found}

    def _repeat(self, event: Any) -> Any:
        known = self._known.get(event.anchor)
        if known is None:
            raise _at(event, f"there is no anchor {event.anchor[:40]!r}")
        if known.values is None:
            raise _at(event, f"the anchor {event.anchor[:40]!r} contains itself")
        self._count(event, known.values)
        return known.value

    def _count(self, event: Any, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _at(event, f"more than {MAX_VALUES} values")


def _merged(start: Any, value: Any) -> dict[str, Any]:
    """Return the merged map. Of several maps the first one takes precedence."""
    merged: dict[str, Any] = {}
    for one in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(one, dict):
            raise _at(start, "`<<` takes a map, or a list of maps")
        merged.update(one)
    return merged


def _scalar(event: Any) -> Any:
    if event.tag and event.tag not in _TEXT_TAGS:
        raise _at(event, f"the tag {event.tag[:80]} is not supported")
    text = str(event.value)
    if event.style or event.tag:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text, 8 if _OCTAL.fullmatch(text) else 10)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if len(text) < 400 and _FLOAT.fullmatch(text) else text


def _text(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else "null" if key is None else str(key)


def _at(event: Any, what: str) -> UnreadableYamlError:
    return UnreadableYamlError(f"line {event.start_mark.line + 1}: {what}")
