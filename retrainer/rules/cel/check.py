"""Infer the type of an expression, and find mistakes before it is evaluated.

Values from an event have the type `any` and pass everywhere. All other values have a type, and it is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.config.errors import did_you_mean
from retrainer.rules.cel import syntax
from retrainer.rules.cel.evaluate import in_words
from retrainer.rules.cel.functions import FUNCTIONS, KINDS, WORDS, usage
from retrainer.rules.cel.other_languages import function_hint, name_hint
from retrainer.rules.cel.pattern import compiled
from retrainer.rules.cel.time_functions import TIME_FUNCTIONS, moment_pattern, time_unit, time_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.rules.cel.syntax import Node

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_NUMBERS = frozenset({"int", "uint", "double"})
_ORDERED = _NUMBERS | {"text", "bytes", "bool", "moment", "duration"}


@dataclass(frozen=True, slots=True)
class Type:
    """``fields`` are all fields of a map, if known; ``items`` is the type of a list's items, `any` if None."""

    kind: str
    fields: Mapping[str, Type] | None = None
    items: Type | None = None


class Mistake(NamedTuple):
    """``at`` is an index in characters from 0; ``hint`` says how to correct it."""

    at: int
    message: str
    hint: str


ANY, BOOL, TEXT, INT, MOMENT, DURATION, LIST, MAP = (
    Type(kind) for kind in ("any", "bool", "text", "int", "moment", "duration", "list", "map")
)


def check(node: Node, scope: Mapping[str, Type], absent: Mapping[str, str]) -> tuple[Type, list[Mistake]]:
    """The type of the value, and all mistakes. ``absent`` has names that are missing here, and what would add them."""
    checker = _Checker(absent)
    return checker.infer(node, dict(scope)), checker.mistakes


def _conversion(kinds: frozenset[str]) -> str:
    """How a value becomes one of the kinds."""
    if "text" in kinds:
        return "convert it: string(…)"
    return "convert it: int(…), double(…)" if kinds & {"int", "double"} else "write one of these here"


def _converted(op: str, nodes: Sequence[Node], kinds: Sequence[str]) -> str:
    """How a text and a number become one kind; in full if they are literals or fields."""
    if op in ("-", "*", "/", "%") or "text" not in kinds or not _NUMBERS.intersection(kinds):
        return "convert one of them: string(…), int(…), double(…)"
    convert = _to_text if op == "+" else _to_number
    return f"write `{f' {op} '.join(map(convert, nodes, kinds))}`"


def _to_text(node: Node, kind: str) -> str:
    return _text(node) if kind == "text" else f"string({_text(node)})"


def _to_number(node: Node, kind: str) -> str:
    if kind == "text" and isinstance(node, syntax.Literal) and _NUMBER.fullmatch(str(node.value)):
        return str(node.value)
    return f"double({_text(node)})" if kind == "text" else _text(node)


def _filled(hint: str, call: syntax.Call) -> str:
    """The hint with the values of the call in place of each `…`, if it has a place for each of them."""
    values = [_text(part) for part in (call.target, *call.args) if part is not None]
    ordered = len(values) == 1 or (call.target is not None and hint.startswith("write `…."))
    if not ordered or "…" in values or len(values) != hint.count("…"):
        return hint
    for value in values:
        hint = hint.replace("…", value, 1)
    return hint


def _as_text(node: Node, found: Type, kinds: frozenset[str]) -> str:
    """How a field or a name becomes a text, where that is what is asked for; else empty."""
    fits = "text" in kinds and found.kind in FUNCTIONS["string"].takes[0] and "…" not in _text(node)
    return f"write `string({_text(node)})`" if fits else ""


def _usage(call: syntax.Call) -> str:
    """How to write the call, over its own value if that is a name or a field."""
    value = _text(call.target or (*call.args, call)[0])
    return f"write {usage(call.name)}".replace("`x.", "`x." if "…" in value else f"`{value}.")


def _text(node: Node) -> str:
    """A literal, a name or a field as it is written; else `…`."""
    if isinstance(node, syntax.Literal):
        return f"'{node.value}'" if isinstance(node.value, str) else str(node.value)
    if isinstance(node, syntax.Select):
        return f"{_text(node.of)}.{node.field}"
    return node.name if isinstance(node, syntax.Name) else "…"


class _Checker:
    def __init__(self, absent: Mapping[str, str]) -> None:
        self.mistakes: list[Mistake] = []
        self._absent = absent

    def infer(self, node: Node, scope: dict[str, Type]) -> Type:
        if isinstance(node, syntax.Literal):
            return Type(KINDS[type(node.value)])
        return _INFER[type(node)](self, node, scope)

    def _wants(self, kinds: frozenset[str], found: Type, at: int, who: str, hint: str = "") -> None:
        if found.kind != "any" and found.kind not in kinds and "any" not in kinds:
            message = f"{who} {in_words(kinds)}, not {WORDS[found.kind]}"
            self.mistakes.append(Mistake(at, message, hint or _conversion(kinds)))

    def name(self, node: syntax.Name, scope: dict[str, Type]) -> Type:
        known = scope.get(node.name)
        if known is not None:
            return known
        if node.name in self._absent:
            message, hint = f"there is no `{node.name}` here", self._absent[node.name]
        else:
            fields = {field: name for name, of in scope.items() for field in of.fields or ()}
            message = f"unknown name `{node.name}` in an expression"
            hint = name_hint(node.name, fields) or did_you_mean(node.name, scope)
        self.mistakes.append(Mistake(node.at, message, hint))
        return ANY

    def select(self, node: syntax.Select, scope: dict[str, Type]) -> Type:
        of = self.infer(node.of, scope)
        self._wants(frozenset({"map"}), of, node.field_at, f"`.{node.field}` is a field of")
        field = ANY if of.fields is None else of.fields.get(node.field)
        if field is None:
            name = f"`{node.of.name}`" if isinstance(node.of, syntax.Name) else "it"
            hint = did_you_mean(node.field, of.fields or ())
            self.mistakes.append(Mistake(node.field_at, f"{name} has no `{node.field}`", hint))
        return BOOL if node.test else field or ANY

    def item(self, node: syntax.Item, scope: dict[str, Type]) -> Type:
        of, index = self.infer(node.of, scope), self.infer(node.index, scope)
        self._wants(frozenset({"list", "map"}), of, node.at, "`[…]` is an item of")
        if of.kind == "list":
            self._wants(frozenset({"int", "uint"}), index, node.index.at, "the items of a list have")
            return of.items or ANY
        self._wants(frozenset({"text", "int", "uint"}), index, node.index.at, "the keys of a map are")
        if of.fields is not None and isinstance(node.index, syntax.Literal):
            return of.fields.get(str(node.index.value), ANY)
        return ANY

    def call(self, node: syntax.Call, scope: dict[str, Type]) -> Type:
        given = node.args if node.target is None else (node.target, *node.args)
        types = [self.infer(arg, scope) for arg in given]
        function = FUNCTIONS.get(node.name)
        if function is None:
            hint = _filled(function_hint(node.name, scope), node) or did_you_mean(node.name, FUNCTIONS)
            if not hint.startswith(("did", "write", "an")):
                hint = "docs/reference/expressions.md lists them: " + ", ".join(sorted(FUNCTIONS)[:6]) + ", …"
            self.mistakes.append(Mistake(node.at, f"there is no function `{node.name}`", hint))
            return ANY
        if not function.also_free and function.member != (node.target is not None):
            message = f"`{node.name}` stands " + ("behind its first value" if function.member else "before its value")
            self.mistakes.append(Mistake(node.at, message, _usage(node)))
        elif not function.accepts(len(given)):
            most = len(function.takes) - (node.target is not None)
            counts = f"{most - function.optional} or {most}" if function.optional else str(most or "no")
            message = f"`{node.name}` takes {counts} value{'s' * (most != 1)} in its brackets, not {len(node.args)}"
            self.mistakes.append(Mistake(node.at, message, _usage(node)))
        else:
            for found, kinds, arg in zip(types, function.takes, given, strict=False):
                self._wants(kinds, found, arg.at, f"`{node.name}` takes", _as_text(arg, found, kinds))
            self._texts(node, given)
        return Type(function.gives)

    def _texts(self, node: syntax.Call, given: Sequence[Node]) -> None:
        """Check literal patterns and time zones once, instead of failing at each event."""
        for place, read in _READ.get(node.name, {}).items():
            arg = given[place] if place < len(given) else None
            if isinstance(arg, syntax.Literal) and isinstance(arg.value, str):
                try:
                    read(arg.value)
                except ValueError as error:
                    what, _, way_out = str(error).partition(": ")
                    what = f"not a regular expression: {what}" if node.name == "matches" else what
                    self.mistakes.append(
                        Mistake(arg.at, what, way_out or "write a pattern of RE2, such as '^churn-[0-9]+$'")
                    )

    def macro(self, node: syntax.Macro, scope: dict[str, Type]) -> Type:
        of = self.infer(node.of, scope)
        self._wants(frozenset({"list", "map"}), of, node.at, f"`{node.kind}` goes through")
        inner = scope | {node.variable: of.items or ANY if of.kind == "list" else ANY}
        if node.where is not None:
            self._wants(frozenset({"bool"}), self.infer(node.where, inner), node.where.at, "`map` asks for")
        body = self.infer(node.body, inner)
        if node.kind == "map":
            return Type("list", items=body)
        self._wants(frozenset({"bool"}), body, node.body.at, f"`{node.kind}` asks for")
        return Type("list", items=inner[node.variable]) if node.kind == "filter" else BOOL

    def mapping(self, node: syntax.Mapping, scope: dict[str, Type]) -> Type:
        for key, value in node.entries:
            self._wants(frozenset({"text", "int", "uint"}), self.infer(key, scope), key.at, "the keys of a map are")
            self.infer(value, scope)
        return MAP

    def listing(self, node: syntax.ListLiteral, scope: dict[str, Type]) -> Type:
        return Type("list", items=_common([self.infer(part, scope) for part in node.items]))

    def logic(self, node: syntax.Logic, scope: dict[str, Type]) -> Type:
        for term in node.terms:
            self._wants(frozenset({"bool"}), self.infer(term, scope), term.at, f"`{node.op}` asks for")
        return BOOL

    def choice(self, node: syntax.Choice, scope: dict[str, Type]) -> Type:
        self._wants(frozenset({"bool"}), self.infer(node.condition, scope), node.at, "`?` asks for")
        return _common([self.infer(node.then, scope), self.infer(node.otherwise, scope)])

    def default(self, node: syntax.Default, scope: dict[str, Type]) -> Type:
        return _common([self.infer(node.of, scope), self.infer(node.otherwise, scope)])

    def prefix(self, node: syntax.Prefix, scope: dict[str, Type]) -> Type:
        kinds = frozenset({"bool"}) if node.op == "!" else frozenset({"int", "double"})
        found = self.infer(node.of, scope)
        self._wants(kinds, found, node.of.at, f"`{node.op}` stands before")
        return BOOL if node.op == "!" else found

    def chain(self, node: syntax.Chain, scope: dict[str, Type]) -> Type:
        before, found = node.first, self.infer(node.first, scope)
        for op, part in node.rest:
            found = self._pair(op, (before, found), (part, self.infer(part, scope)))
            before = part
        return found

    def _pair(self, op: str, left: tuple[Node, Type], right: tuple[Node, Type]) -> Type:
        (_, a), (part, b) = left, right
        at = part.at
        if op in ("==", "!="):
            return BOOL
        if op == "in":
            listed = f"write `[{_text(part)}]`" if isinstance(part, syntax.Literal) else ""
            self._wants(frozenset({"list", "map"}), b, at, "`in` looks into", listed)
            return BOOL
        kinds = {a.kind, b.kind} - {"any"}
        if op in ("<", "<=", ">", ">="):
            if not (kinds <= _NUMBERS or (len(kinds) == 1 and kinds <= _ORDERED)):
                self._odd(op, left, right)
            return BOOL
        given = _given(op, a.kind, b.kind)
        if given is None:
            self._odd(op, left, right)
        return Type(given or "any")

    def _odd(self, op: str, left: tuple[Node, Type], right: tuple[Node, Type]) -> None:
        (one, a), (other, b) = left, right
        message = f"`{op}` between {WORDS[a.kind]} and {WORDS[b.kind]}"
        self.mistakes.append(Mistake(other.at, message, _converted(op, (one, other), (a.kind, b.kind))))


_INFER: Mapping[type, Callable[[_Checker, Any, dict[str, Type]], Type]] = {
    syntax.Name: _Checker.name,
    syntax.Select: _Checker.select,
    syntax.Item: _Checker.item,
    syntax.Call: _Checker.call,
    syntax.Macro: _Checker.macro,
    syntax.ListLiteral: _Checker.listing,
    syntax.Mapping: _Checker.mapping,
    syntax.Prefix: _Checker.prefix,
    syntax.Chain: _Checker.chain,
    syntax.Logic: _Checker.logic,
    syntax.Choice: _Checker.choice,
    syntax.Default: _Checker.default,
}
_READ: Mapping[str, Mapping[int, Callable[[str], object]]] = {
    "matches": {1: compiled},
    "strftime": {1: moment_pattern, 2: time_zone},
    "truncate": {1: time_unit, 2: time_zone},
    **{name: {1: time_zone} for name in TIME_FUNCTIONS if name.startswith("get")},
}
"""What reads an argument that is a literal text, by function and place."""
_SAME: Mapping[str, frozenset[str]] = {
    "+": _NUMBERS | {"text", "bytes", "list", "duration"},
    "-": _NUMBERS | {"duration"},
    "*": _NUMBERS,
    "/": _NUMBERS,
    "%": frozenset({"int", "uint"}),
}


def _given(op: str, a: str, b: str) -> str | None:
    """The type that an arithmetic operator returns for two types; None if it does not accept them."""
    if "moment" in (a, b):
        return _of_moments(op, a, b)
    kinds = {a, b} - {"any"}
    if not kinds:
        return "any"
    if len(kinds) > 1 or not kinds <= _SAME[op]:
        return None
    (of,) = kinds
    return "any" if of == "duration" and "any" in (a, b) else of


def _of_moments(op: str, a: str, b: str) -> str | None:
    other = b if a == "moment" else a
    if op == "+" and other in ("duration", "any"):
        return "moment"
    if op != "-" or a == "duration":
        return None
    if b == "duration":
        return "moment"
    if b == "moment":
        return "duration" if a == "moment" else "any"
    return "any" if b == "any" else None


def _common(types: list[Type]) -> Type:
    return types[0] if types and all(found == types[0] for found in types) else ANY
