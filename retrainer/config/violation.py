"""The result of a check, before it has a position in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.tree import Node, Path, descend, spell, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.config.errors import Kind, Problem
    from retrainer.config.models import Budget, Calendar, Source


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
