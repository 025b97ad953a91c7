"""What a reader of the store may see: the rules and runs of some namespaces, and the sources of these rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import ColumnElement


@dataclass(frozen=True, slots=True)
class Scope:
    """Each field is None if all may be seen. A rule that no longer exists is in no limited scope."""

    namespaces: frozenset[str] | None = None
    rules: frozenset[str] | None = None
    sources: frozenset[str] | None = None

    @property
    def limited(self) -> bool:
        return self.namespaces is not None

    def has_rule(self, name: str) -> bool:
        return self.rules is None or name in self.rules

    def has_source(self, name: str) -> bool:
        return self.sources is None or name in self.sources

    def has_letter(self, letter: dict[str, Any]) -> bool:
        """Whether a dead letter may be seen. Those of no rule belong to their source alone."""
        return self.has_source(letter["source"]) and (not letter["rule"] or self.has_rule(letter["rule"]))

    def event(self, item: dict[str, Any]) -> dict[str, Any]:
        """Return an event without the rules of others that it matched."""
        return {**item, "rules": [[rule, key] for rule, key in item["rules"] if self.has_rule(rule)]}

    def rules_of(self, named: Iterable[str]) -> list[str]:
        return [name for name in named if self.has_rule(name)]


ALL = Scope()


def among(column: ColumnElement[Any], values: Collection[str] | None) -> list[ColumnElement[bool]]:
    """Return the filter for some values, none if ``values`` is None.

    It uses no index, as that of the column has another order than a page, so that all of its rows would be sorted.
    """
    return [(column + "").in_(sorted(values))] if values is not None else []
