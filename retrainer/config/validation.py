"""Validate nodes against models, and report every problem with its position."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from retrainer.config.examples import NAME_OF_TRIGGER
from retrainer.config.messages import describe, meant_field, of_secret
from retrainer.config.schema_places import SchemaPlaces
from retrainer.config.tree import REFUSED, Node, Path, descend, plain, refused, spell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from retrainer.config.errors import Problem

T = TypeVar("T")
MOST_ERRORS = 200
"""Maximum number of errors of one part; with more, the rest of the part is not validated again."""


class Shaped(NamedTuple, Generic[T]):
    """A value and its problems. The value is complete only if there are no problems and ``cut`` is empty.

    Otherwise it is the rest without the parts at ``cut``, so that problems of the rest can be reported at the same
    time; None if no usable rest remains.
    """

    value: T | None
    problems: list[Problem]
    cut: tuple[Path, ...] = ()


class Shape(Generic[T]):
    """Validates nodes against a type."""

    def __init__(self, kind: Any, stand_ins: Mapping[str, Any] | None = None) -> None:
        """``stand_ins`` replace top-level parts that are missing or were removed."""
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._stand_ins = stand_ins or {}

    def check(self, node: Node, path: Path) -> Shaped[T]:
        """Validate the node; ``path`` is its position for messages."""
        data, gone = plain(node), tuple(refused(node))
        try:
            return Shaped(self._adapter.validate_python(data, strict=True), [], gone)
        except ValidationError as error:
            found = error.errors(include_url=False)
        if len(found) > MOST_ERRORS:
            return Shaped(None, [self._problem(node, path, [error]) for error in found[:MOST_ERRORS]])
        misnamed = self._misnamed(found)
        unsaid = [error for error in found if not _said(node, error) and (error["type"], error["loc"]) not in misnamed]
        problems = [self._problem(node, path, same) for same in _by_place(node, unsaid)]
        rest = self._without(data, node, found, problems)
        return rest._replace(cut=(*rest.cut, *gone))

    def _misnamed(self, errors: Sequence[ErrorDetails]) -> set[tuple[str, tuple[str | int, ...]]]:
        """Errors of missing fields that are there under another name, which is reported as unknown."""
        places = _places(self._adapter)
        unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
        return {("missing", (*loc[:-1], meant)) for loc in unknown if (meant := meant_field(loc, places))}

    def _problem(self, node: Node, path: Path, errors: Sequence[ErrorDetails]) -> Problem:
        error = errors[0]
        at, passed, steps = descend(node, error["loc"])
        of_key = error["type"] == "extra_forbidden" or error["loc"][-1:] == ("[key]",)
        mark = passed[-1].key(str(steps[-1])) if of_key and passed else at.mark
        message, hint = describe(errors, _places(self._adapter))
        hint = hint.replace(NAME_OF_TRIGGER, _trigger_of(node))
        named = (*steps, error["loc"][-1]) if error["type"] == "missing" and not of_secret(errors) else steps
        problem = mark.problem(spell((*path, *named)), message, hint)
        return replace(problem, source="") if of_secret(errors) else problem

    def _without(self, data: Any, node: Node, found: list[ErrorDetails], problems: list[Problem]) -> Shaped[T]:
        """Remove invalid parts until the rest is valid; give up if no usable rest remains."""
        cut: list[Path] = []
        for _ in range(10 if isinstance(data, dict) else 0):  # removing a part can make its parent invalid
            cut += [_place(node, error) or error["loc"][:1] for error in found]
            for path in cut:
                _remove(data, path)
            data.update({k: v for k, v in self._stand_ins.items() if k not in data})
            try:
                return Shaped(self._adapter.validate_python(data, strict=True), problems, tuple(cut))
            except ValidationError as error:
                found = error.errors(include_url=False)
        return Shaped(None, problems)


def _trigger_of(rule: Node) -> str:
    """The trigger of a rule whose key is needed first: of data, else of a metric or alert."""
    triggers = rule.get("triggers")
    by_kind = {kind: name for name, one in (triggers.items() if triggers else {}).items() for kind in one.items()}
    return next((by_kind[kind] for kind in ("data", "metric", "alert") if kind in by_kind), NAME_OF_TRIGGER)


def _place(node: Node, error: ErrorDetails) -> Path:
    """The part to remove so that the rest is valid. For a missing field it is the parent that requires it."""
    missing = error["type"] == "missing"
    return descend(node, error["loc"][:-1] if missing else error["loc"])[2]


def _said(node: Node, error: ErrorDetails) -> bool:
    """Whether the error only exists because the value was rejected before, which has been reported."""
    missing = error["type"] == "missing"
    loc = error["loc"][:-1] if missing else error["loc"]
    parent, _, steps = descend(node, loc)
    if len(steps) < len(loc):  # a variant of a union
        return any(child.value is REFUSED for child in parent.items().values())
    field = parent.get(str(error["loc"][-1])) if missing else None
    return field is not None and field.value is REFUSED


def _by_place(node: Node, errors: Sequence[ErrorDetails]) -> list[list[ErrorDetails]]:
    """Group the errors of all variants of a union by position."""
    places: dict[Any, list[ErrorDetails]] = {}
    for error in errors:
        loc = error["loc"]
        secret = next(
            (i for i, step in enumerate(loc) if step in ("FromEnv", "FromFile") or str(step).startswith("list[")), None
        )
        steps = descend(node, loc[:secret])[2]
        field = loc[-1] if error["type"] == "missing" and secret is None else loc[-1:] == ("[key]",)
        places.setdefault((steps, field), []).append(error)
    return list(places.values())


def _remove(data: Any, path: Path) -> None:
    for step in path[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(data, dict):
        data.pop(path[-1], None)
    elif isinstance(data, list):
        data.clear()  # removing one element would shift the others


@lru_cache(maxsize=32)
def _places(adapter: TypeAdapter[Any]) -> SchemaPlaces:
    return SchemaPlaces(adapter.json_schema())
