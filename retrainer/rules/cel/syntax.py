"""The parts of an expression. ``at`` is where a part stands in the text, in characters from 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias


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
    """``of.field``; with ``test`` it is `has(of.field)`. ``field_at`` is where the field stands."""

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
class Listing:
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
    """Operators of one precedence, from the left: however long it is, it nests no deeper."""

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


Node: TypeAlias = Literal | Name | Select | Item | Call | Macro | Listing | Mapping | Prefix | Chain | Logic | Choice


def children(node: Node) -> tuple[Node, ...]:
    """Direct parts, in the order in which they are written."""
    match node:
        case Select(of=of) | Prefix(of=of):
            return (of,)
        case Item(of=of, index=index):
            return (of, index)
        case Call(target=target, args=args):
            return args if target is None else (target, *args)
        case Macro(of=of, body=body, where=where):
            return (of, body) if where is None else (of, where, body)
        case Listing(items=items) | Logic(terms=items):
            return items
        case Mapping(entries=entries):
            return tuple(part for entry in entries for part in entry)
        case Chain(first=first, rest=rest):
            return (first, *(part for _, part in rest))
        case Choice(condition=condition, then=then, otherwise=otherwise):
            return (condition, then, otherwise)
        case _:
            return ()


def free_names(node: Node) -> frozenset[str]:
    """Variables that are read, without those that macros bring."""
    if isinstance(node, Name):
        return frozenset((node.name,))
    if isinstance(node, Macro):
        inner = free_names(node.body) | (free_names(node.where) if node.where is not None else frozenset())
        return free_names(node.of) | (inner - {node.variable})
    return frozenset[str]().union(*map(free_names, children(node)))


def size(node: Node) -> int:
    """How many parts there are, itself included."""
    return 1 + sum(map(size, children(node)))
