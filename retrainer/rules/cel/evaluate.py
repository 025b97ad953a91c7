"""Compile the nodes of an expression to closures.

A fixed cost is charged once, before the evaluation; a cost that depends on the input is charged as it occurs.

The fixed cost is one step per node (plus the cost of its function), whether it is evaluated or not. So the same text
costs the same everywhere, and counting takes no time during the evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.cel import macros, syntax, values
from retrainer.rules.cel.errors import ExpressionError, NoField, OverBudget
from retrainer.rules.cel.frame import FIRST_PLACE, Evaluate, Frame
from retrainer.rules.cel.functions import FUNCTIONS, KINDS, WORDS
from retrainer.rules.cel.values import ABSORBED, charge, kind, shown, truth
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.rules.cel.function import Function
    from retrainer.rules.cel.syntax import Node

_OPERATORS: Mapping[str, Callable[[Frame, Any, Any], Any]] = {
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.remainder,
    "==": values.equal,
    "!=": lambda frame, a, b: not values.equal(frame, a, b),
    "<": lambda frame, a, b: values.order(frame, a, b) == -1,
    "<=": lambda frame, a, b: values.order(frame, a, b) in (-1, 0),
    ">": lambda frame, a, b: values.order(frame, a, b) == 1,
    ">=": lambda frame, a, b: values.order(frame, a, b) in (0, 1),
    "in": values.contains,
}
_SAME = {"==": frozenset((str, int, bool)), "<": frozenset((int, float)), ">": frozenset((int, float))}


def cost(node: Node) -> int:
    """Steps of a node, without the bodies of macros: these are charged for each item."""
    if isinstance(node, syntax.Macro):
        return 3 + cost(node.of)
    if isinstance(node, syntax.Mapping):
        return 2 + 2 * len(node.entries) + sum(map(cost, syntax.children(node)))
    own = FUNCTIONS[node.name].cost if isinstance(node, syntax.Call) and node.name in FUNCTIONS else 1
    return own + sum(map(cost, syntax.children(node)))


class Compiler:
    """Creates closures. ``places`` is the frame length that is needed for the variables of macros."""

    def __init__(self) -> None:
        self.places = FIRST_PLACE
        self._variables: dict[str, int] = {}

    def compile(self, node: Node) -> Evaluate:
        if isinstance(node, syntax.Literal):
            value = node.value
            return lambda _frame: value
        return _MAKERS[type(node)](self, node)

    def name(self, node: syntax.Name) -> Evaluate:
        name = node.name
        if name in self._variables:
            place = self._variables[name]
            return lambda frame: frame[place]

        def run(frame: Frame) -> Any:
            try:
                return frame[0][name]
            except KeyError:
                raise ExpressionError(f"there is no `{name}` here") from None

        return run

    def select(self, node: syntax.Select) -> Evaluate:
        """Compile nested fields of a name to one look-up."""
        fields, of = [node.field], node.of
        while isinstance(of, syntax.Select) and not of.test:
            fields.append(of.field)
            of = of.of
        if node.test:
            return _has(_fields(self.compile(of), fields[:0:-1]), node.field)
        return _fields(self.compile(of), fields[::-1])

    def item(self, node: syntax.Item) -> Evaluate:
        of, index = self.compile(node.of), self.compile(node.index)

        def run(frame: Frame) -> Any:
            found, wanted = of(frame), index(frame)
            try:
                return values.item(frame, found, wanted)
            except KeyError:
                raise _missing(wanted) from None

        return run

    def call(self, node: syntax.Call) -> Evaluate:
        function = FUNCTIONS.get(node.name)
        given = (node.args) if node.target is None else (node.target, *node.args)
        if function is None or not function.accepts(len(given)) or not _written_so(function, node):
            return _raising(f"there is no `{node.name}` of {many(len(given), 'value')}")
        args = [self.compile(arg) for arg in given]
        return _apply(node.name, function, args)

    def macro(self, node: syntax.Macro) -> Evaluate:
        of = self.compile(node.of)
        place, outer = self.places, self._variables.get(node.variable)
        self.places += 1
        self._variables[node.variable] = place
        body = self.compile(node.body)
        where = self.compile(node.where) if node.where is not None else None
        if outer is None:
            del self._variables[node.variable]
        else:
            self._variables[node.variable] = outer
        each = 2 + cost(node.body) + (cost(node.where) if node.where is not None else 0)
        return macros.MACROS[node.kind](macros.Loop(of, place, each, body, where))

    def listing(self, node: syntax.ListLiteral) -> Evaluate:
        parts = [self.compile(part) for part in node.items]
        return lambda frame: [part(frame) for part in parts]

    def mapping(self, node: syntax.Mapping) -> Evaluate:
        return _mapping([(self.compile(key), self.compile(value)) for key, value in node.entries])

    def prefix(self, node: syntax.Prefix) -> Evaluate:
        work, of = (values.invert if node.op == "!" else values.negate), self.compile(node.of)
        return lambda frame: work(frame, of(frame))

    def logic(self, node: syntax.Logic) -> Evaluate:
        return _logic(node.op, [self.compile(term) for term in node.terms])

    def choice(self, node: syntax.Choice) -> Evaluate:
        condition, then, otherwise = (self.compile(part) for part in syntax.children(node))
        return lambda frame: then(frame) if truth(condition(frame), "`?`") else otherwise(frame)

    def default(self, node: syntax.Default) -> Evaluate:
        of, otherwise = self.compile(node.of), self.compile(node.otherwise)

        def run(frame: Frame) -> Any:
            try:
                value = of(frame)
            except NoField:
                charge(frame, ABSORBED)
                value = None
            return otherwise(frame) if value is None else value

        return run

    def chain(self, node: syntax.Chain) -> Evaluate:
        first = self.compile(node.first)
        rest = [(op, _OPERATORS[op], self.compile(part)) for op, part in node.rest]
        if len(rest) == 1:
            op, work, second = rest[0]
            return _pair(work, first, second, _SAME.get(op, frozenset()), op)

        def run(frame: Frame) -> Any:
            value = first(frame)
            for _, work, part in rest:
                value = work(frame, value, part(frame))
            return value

        return run


def _pair(
    work: Callable[[Frame, Any, Any], Any], first: Evaluate, second: Evaluate, quick: frozenset[type], op: str
) -> Evaluate:
    """Compare two values of one of the ``quick`` types directly; otherwise call ``work``."""
    if op == "==" and quick:

        def equal(frame: Frame) -> Any:
            a, b = first(frame), second(frame)
            of = type(a)
            if of is type(b) and of in quick and (of is not str or len(a) < values.TEXT_A_STEP):
                return a == b
            return work(frame, a, b)

        return equal

    def run(frame: Frame) -> Any:
        return work(frame, first(frame), second(frame))

    return run


def _fields(of: Evaluate, fields: Sequence[str]) -> Evaluate:
    if not fields:
        return of
    if len(fields) == 1:
        (only,) = fields

        def one(frame: Frame) -> Any:
            value = of(frame)
            try:
                return value[only]
            except KeyError:
                raise _missing(only) from None
            except TypeError:
                raise _no_fields(value, only) from None

        return one
    every = tuple(fields)

    def several(frame: Frame) -> Any:
        value = of(frame)
        for field in every:
            try:
                value = value[field]
            except KeyError:
                raise _missing(field) from None
            except TypeError:
                raise _no_fields(value, field) from None
        return value

    return several


def _has(of: Evaluate, field: str) -> Evaluate:
    def run(frame: Frame) -> bool:
        value = of(frame)
        if not isinstance(value, dict):
            raise _no_fields(value, field)
        return field in value

    return run


def _missing(field: object) -> NoField:
    return NoField(f"no field {shown(field)}; guard it with has(…) or default(…, …)")


def _no_fields(value: object, field: str) -> ExpressionError:
    return ExpressionError(f"{kind(value)} has no field '{field}'")


def _raising(message: str) -> Evaluate:
    def run(_frame: Frame) -> Any:
        raise ExpressionError(message)

    return run


def _written_so(function: Function, node: syntax.Call) -> bool:
    return function.also_free or function.member == (node.target is not None)


def _apply(name: str, function: Function, args: Sequence[Evaluate]) -> Evaluate:
    work, takes = function.work, function.takes

    def run(frame: Frame) -> Any:
        given = [arg(frame) for arg in args]
        for value, kinds in zip(given, takes, strict=False):
            if KINDS.get(type(value)) not in kinds and "any" not in kinds:
                raise ExpressionError(f"`{name}` takes {in_words(kinds)}, not {kind(value)}")
        return work(frame, *given)

    return run


def in_words(kinds: frozenset[str]) -> str:
    """A list of types in words, such as "a text, a list or a map"."""
    words = [word for of, word in WORDS.items() if of in kinds]
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _mapping(entries: Sequence[tuple[Evaluate, Evaluate]]) -> Evaluate:
    def run(frame: Frame) -> dict[Any, Any]:
        found: dict[str | int, Any] = {}
        for key, value in entries:
            name = key(frame)
            if type(name) is bool or not isinstance(name, (str, int)):
                raise ExpressionError(f"the keys of a map are texts or whole numbers, not {kind(name)}")
            values.has(frame, found, name)
            found[name] = value(frame)
        return found

    return run


def _logic(op: str, terms: Sequence[Evaluate]) -> Evaluate:
    """A deciding term decides, even if a term before or after it raises an error."""
    decides = op == "||"
    name = f"`{op}`"

    def run(frame: Frame) -> bool:
        problem: ExpressionError | None = None
        for term in terms:
            try:
                value: Any = term(frame)
                value = value if value is True or value is False else truth(value, name)
            except OverBudget:
                raise
            except ExpressionError as error:
                charge(frame, ABSORBED)
                problem = problem or error
            else:
                if value is decides:
                    return bool(value)
        if problem is not None:
            raise problem
        return not decides

    return run


_MAKERS: Mapping[type, Callable[[Compiler, Any], Evaluate]] = {
    syntax.Name: Compiler.name,
    syntax.Select: Compiler.select,
    syntax.Item: Compiler.item,
    syntax.Call: Compiler.call,
    syntax.Macro: Compiler.macro,
    syntax.ListLiteral: Compiler.listing,
    syntax.Mapping: Compiler.mapping,
    syntax.Prefix: Compiler.prefix,
    syntax.Chain: Compiler.chain,
    syntax.Logic: Compiler.logic,
    syntax.Choice: Compiler.choice,
    syntax.Default: Compiler.default,
}
