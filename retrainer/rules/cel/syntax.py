"""The nodes of an expression. ``at`` is the index of a node in the text, in characters from 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Mapping_


@dataclass(frozen=True, slots=True)
class Literal:
    at: int
    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """``of.field``; with ``test`` it is `has(of.field)`. ``field_at`` is the index of the field."""

    at: int
    of: Node
    field: str
    field_at: int
    test: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """``of[index]``."""

    at: int
    of: Node
    index: Node


@dataclass(frozen=True, slots=True)
class Call:
    """``name(args)``, or ``target.name(args)``."""

    at: int
    name: str
    target: Node | None
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """``of.kind(variable, body)``; a `map` of three arguments keeps the items for which ``where`` is true."""

    at: int
    kind: str
    of: Node
    variable: str
    body: Node
    where: Node | None = None


@dataclass(frozen=True, slots=True)
class ListLiteral:
    at: int
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    at: int
    entries: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """``op`` is `!` or `-`."""

    at: int
    op: str
    of: Node


@dataclass(frozen=True, slots=True)
class Chain:
    """Operators of one precedence, left to right. A long chain adds no nesting."""

    at: int
    first: Node
    rest: tuple[tuple[str, Node], ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """Terms joined by `&&` or by `||`."""

    at: int
    op: str
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """``condition ? then : otherwise``."""

    at: int
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Default:
    """``default(of, otherwise)``: the second value if the first is null or reads a field that does not exist."""

    at: int
    of: Node
    otherwise: Node


Node: TypeAlias = (
    Literal | Name | Select | Item | Call | Macro | ListLiteral | Mapping | Prefix | Chain | Logic | Choice | Default
)


_CHILDREN: Mapping_[type, Callable[[Any], tuple[Node, ...]]] = {
    Select: lambda node: (node.of,),
    Prefix: lambda node: (node.of,),
    Item: lambda node: (node.of, node.index),
    Call: lambda node: node.args if node.target is None else (node.target, *node.args),
    Macro: lambda node: (node.of, node.body) if node.where is None else (node.of, node.where, node.body),
    ListLiteral: lambda node: node.items,
    Mapping: lambda node: tuple(part for entry in node.entries for part in entry),
    Chain: lambda node: (node.first, *(part for _, part in node.rest)),
    Logic: lambda node: node.terms,
    Choice: lambda node: (node.condition, node.then, node.otherwise),
    Default: lambda node: (node.of, node.otherwise),
}


def children(node: Node) -> tuple[Node, ...]:
    """Child nodes, in the order of the text."""
    read = _CHILDREN.get(type(node))
    return () if read is None else read(node)


def free_names(node: Node) -> frozenset[str]:
    """Names of the variables that are read, without the variables of macros."""
    found: set[str] = set()
    _collect(node, frozenset(), found)
    return frozenset(found)


def _collect(node: Node, bound: frozenset[str], found: set[str]) -> None:
    if isinstance(node, Name):
        if node.name not in bound:
            found.add(node.name)
    elif isinstance(node, Macro):
        _collect(node.of, bound, found)
        for part in (node.body, node.where):
            if part is not None:
                _collect(part, bound | {node.variable}, found)
    else:
        for part in children(node):
            _collect(part, bound, found)
