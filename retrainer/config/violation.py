"""The result of a check, before it has a position in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from retrainer.config.errors import did_you_mean
from retrainer.config.tree import Node, Path, descend, spell, within

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from retrainer.config.errors import Kind, Problem
    from retrainer.config.models import Budget, Calendar, Source


T = TypeVar("T")


class Violation(NamedTuple):
    """``path`` is relative to the checked part. ``offset`` is an index in characters of the text at that path."""

    path: Path
    message: str
    hint: str = ""
    offset: int | None = None
    kind: Kind = "content"
    of_key: bool = False


class Names(NamedTuple):
    """Names that rules may refer to; the value is None for a broken definition. ``namespaces`` is None if unknown."""

    sources: Mapping[str, Source | None]
    calendars: Mapping[str, Calendar | None]
    pools: Mapping[str, int | None]
    budgets: Mapping[str, Budget | None]
    namespaces: tuple[str, ...] | None = None


def violation_of(path: Path, error: ValueError) -> Violation:
    """Split `what is wrong: correction` into message and hint."""
    what, _, way_out = str(error).rpartition(": ")
    return Violation(path, what or way_out, way_out if what else "")


def check_read(path: Path, read: Callable[[T], object], value: T) -> Iterator[Violation]:
    """Check that ``read`` accepts the value: the ValueError that it raises is a violation."""
    try:
        read(value)
    except ValueError as error:
        yield violation_of(path, error)


def known(path: Path, kind: str, name: str, names: Collection[str]) -> Iterator[Violation]:
    """Check that ``name`` is one of ``names``, which are defined in the section of that kind."""
    if name not in names:
        hint = did_you_mean(name, names, f"no {kind} is defined: add it under `{kind}s:`")
        yield Violation(path, f"unknown {kind} `{name}`", hint, kind="reference")


def exactly_one(
    path: Path, part: BaseModel, names: Sequence[str], hint: str = "keep one", missing: str = "add one of them"
) -> Iterator[Violation]:
    """Check that one of the fields is given, and no more."""
    given = [name for name in names if getattr(part, name) not in (None, [])]
    if len(given) != 1:
        found = "not both" if given and len(names) == 2 else not_one(given)
        yield Violation(path, f"exactly one of {', '.join(names)} is required, {found}", hint if given else missing)


def not_one(given: Sequence[str]) -> str:
    """Say which ones are given, if that is not exactly one."""
    return f"not {' and '.join(given)}" if given else "none is given"


def locate(finding: Violation, node: Node, path: Path) -> Problem:
    """Convert a violation to a problem with a position; ``path`` is that of ``node``."""
    at, passed, steps = descend(node, finding.path)
    mark, message = at.mark, finding.message
    if finding.of_key and passed:
        mark = passed[-1].key(str(steps[-1]))
    elif finding.offset is not None:
        exact = within(at, finding.offset)
        mark = exact or mark
        message = message if exact else f"at character {finding.offset + 1}: {message}"
    return mark.problem(spell((*path, *finding.path)), message, finding.hint, finding.kind)
