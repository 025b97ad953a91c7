"""Which fields of the events in `events` an expression reads; other fields need not be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from retrainer.rules.cel import syntax

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from retrainer.rules.cel.syntax import Node

_LIST, _ONE = ("[]",), ("",)
"""What a node returns: the list, or one event of it. Otherwise it is a path within an event, or None: neither."""
_Part: TypeAlias = tuple[str, ...] | None


def data_read(node: Node) -> frozenset[str] | None:
    """Names of the fields of `data` that are read from events; None if any field may be read."""
    reader = _Reader()
    reader.use(reader.visit(node, {"events": _LIST}))
    names = {path[1] for path in reader.paths if len(path) > 1}
    return None if ("data",) in reader.paths else frozenset(names)


class _Reader:
    def __init__(self) -> None:
        self.paths: set[tuple[str, ...]] = set()

    def use(self, part: _Part) -> None:
        """Record that all of a node's value is read."""
        if part in (_LIST, _ONE):
            self.paths.add(("data",))
        elif part is not None:
            self.paths.add(part[:2])

    def visit(self, node: Node, names: Mapping[str, _Part]) -> _Part:
        visitor = _VISITORS.get(type(node))
        if visitor is not None:
            return visitor(self, node, names)
        self._use_all(syntax.children(node), names)
        return None

    def _use_all(self, nodes: Iterable[Node], names: Mapping[str, _Part]) -> None:
        for node in nodes:
            self.use(self.visit(node, names))

    def name(self, node: syntax.Name, names: Mapping[str, _Part]) -> _Part:
        return names.get(node.name)

    def select(self, node: syntax.Select, names: Mapping[str, _Part]) -> _Part:
        field = self._field(self.visit(node.of, names), node.field)
        if node.test:
            self.use(field)
            return None
        return field

    def _field(self, of: _Part, field: str) -> _Part:
        if of == _ONE:
            return (field,)
        return of if of is None or of == _LIST else (*of, field)

    def item(self, node: syntax.Item, names: Mapping[str, _Part]) -> _Part:
        of = self.visit(node.of, names)
        self.use(self.visit(node.index, names))
        if of == _LIST:
            return _ONE
        if isinstance(node.index, syntax.Literal) and isinstance(node.index.value, str):
            return self._field(of, node.index.value)
        self.use(of)
        return None

    def call(self, node: syntax.Call, names: Mapping[str, _Part]) -> _Part:
        parts = [self.visit(part, names) for part in syntax.children(node)]
        for part in parts:
            if not (node.name == "size" and part == _LIST):
                self.use(part)
        return None

    def macro(self, node: syntax.Macro, names: Mapping[str, _Part]) -> _Part:
        of = self.visit(node.of, names)
        if of != _LIST:
            self.use(of)
        inner = {**names, node.variable: _ONE if of == _LIST else None}
        if node.where is not None:
            self.use(self.visit(node.where, inner))
        body = self.visit(node.body, inner)
        if node.kind == "map" and body == _ONE:
            return _LIST
        self.use(body)
        return of if node.kind == "filter" and of == _LIST else None

    def choice(self, node: syntax.Choice, names: Mapping[str, _Part]) -> _Part:
        self.use(self.visit(node.condition, names))
        then, otherwise = (self.visit(part, names) for part in (node.then, node.otherwise))
        if then == otherwise:
            return then
        self.use(then)
        self.use(otherwise)
        return None


_VISITORS: Mapping[type, Callable[[_Reader, Any, Mapping[str, _Part]], _Part]] = {
    syntax.Name: _Reader.name,
    syntax.Select: _Reader.select,
    syntax.Item: _Reader.item,
    syntax.Call: _Reader.call,
    syntax.Macro: _Reader.macro,
    syntax.Choice: _Reader.choice,
}
