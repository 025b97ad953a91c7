"""PURE: the part of Argo's expression language (expr-lang) that ordinary templates use: `{{=…}}`, `expression`, `when`.

`when` has no variables: Argo replaces its tags first, and a bare word in it is a text (`heads == heads`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression_code import (
    all_of,
    any_of,
    choice,
    constant,
    element,
    negated,
    operation,
    optional_member,
    several,
    sliced,
)
from retrainer.workflows.local.expression_functions import FUNCTIONS, LOOPS, SPRIG, ExpressionError, member, part
from retrainer.workflows.local.json_path import json_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Value = Any
    Code = Callable[[Mapping[str, Value]], Value]

LONGEST = 4096
"""Characters of an expression."""
DEEPEST = 40
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w]))|(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
    |(?P<name>[A-Za-z_$][\w$]*)|(?P<sign>\?\?|\?\.|\.\.|\*\*|==|!=|<=|>=|=~|!~|&&|\|\||[-+*/%^<>!?:,.()\[\]{}#|]))""",
    re.VERBOSE,
)
_SAME = {"or": "||", "and": "&&", "^": "**", "=~": "matches"}
_SPELLINGS = {"&&": ("&&", "and"), "||": ("||", "or")}
_BINDS = {
    "||": 10, "&&": 15, "==": 20, "!=": 20, "<": 20, ">": 20, "<=": 20, ">=": 20, "in": 20, "not": 20, "matches": 20,
    "!~": 20, "contains": 20, "startsWith": 20, "endsWith": 20, "..": 25, "+": 30, "-": 30, "*": 60, "/": 60, "%": 60,
    "**": 100, "??": 500,
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_WORDS = {"true": True, "false": False, "nil": None}


@dataclass(frozen=True, slots=True)
class Expression:
    """``names``: the variables that it reads, with their members, such as `inputs.parameters.x`."""

    code: Code
    names: frozenset[str]

    def value(self, variables: Mapping[str, Value]) -> Value:
        """Evaluate. Raise ExpressionError."""
        try:
            return self.code(variables)
        except ExpressionError:
            raise
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError, re.error) as error:
            raise ExpressionError(str(error)) from error


def parse(text: str, *, bare: bool = False, longest: int = LONGEST) -> Expression:
    """Return the expression. ``bare``: an unknown word is a text, as in `when`. Raise ExpressionError."""
    if len(text) > longest:
        raise ExpressionError(f"is longer than {longest} characters")
    parser = _Parser(list(_tokens(text)), bare=bare)
    code = parser.whole()
    return Expression(code, frozenset(parser.names))


def holds(condition: str, longest: int = LONGEST) -> bool:
    """Return whether a `when` holds, after its tags were replaced. Raise ExpressionError."""
    value = parse(condition, bare=True, longest=longest).value({})
    if not isinstance(value, bool):
        raise ExpressionError(f"is {value!r}, and must be true or false")
    return value


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise ExpressionError(f"cannot be read from {text[at : at + 20].strip()!r} on")
        yield found.lastgroup, found[found.lastgroup]
        at = found.end()


def _unquoted(text: str) -> str:
    if text[0] == "`":
        return text[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


@dataclass(slots=True)
class _Parser:
    tokens: list[tuple[str, str]]
    bare: bool
    names: set[str] = field(default_factory=set)
    at: int = 0
    depth: int = 0

    def whole(self) -> Code:
        code = self._ternary()
        if self.at < len(self.tokens):
            raise ExpressionError(f"does not end before {self._next()!r}")
        return code

    def _next(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _kind(self) -> str:
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def _take(self, *signs: str) -> bool:
        if self._kind() in ("sign", "name") and self._next() in signs:
            self.at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise ExpressionError(f"{sign!r} is missing before {self._next() or 'its end'!r}")

    def _ternary(self) -> Code:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"is nested deeper than {DEEPEST} levels")
        condition = self._binary(0)
        while self._take("|"):
            condition = self._call(self._word(), [condition])
        if self._take("?"):
            chosen = self._ternary()
            self._need(":")
            condition = choice(condition, chosen, self._ternary())
        self.depth -= 1
        return condition

    def _binary(self, least: int) -> Code:
        left = self._unary()
        while (sign := _SAME.get(self._next(), self._next())) in _BINDS and self._kind() in ("sign", "name"):
            binds = _BINDS[sign]
            if binds < least:
                break
            self.at += 1
            if sign in _SPELLINGS:
                left = self._joined(sign, left, binds + 1)
                continue
            is_negated = sign == "not"
            if is_negated:
                self._need("in")
                sign = "in"
            code = operation(sign, left, self._binary(binds if sign == "**" else binds + 1))
            left = negated(code) if is_negated else code
        return left

    def _joined(self, sign: str, first: Code, binds: int) -> Code:
        """Return the rest of `a && b && …` as one code, however long it is."""
        parts = [first, self._binary(binds)]
        while self._take(*_SPELLINGS[sign]):
            parts.append(self._binary(binds))
        return all_of(parts) if sign == "&&" else any_of(parts)

    def _unary(self) -> Code:
        if self._take("!", "not"):
            return negated(self._binary(50))
        if self._take("-"):
            code = self._binary(90)
            return lambda env: -code(env)
        if self._take("+"):
            return self._binary(90)
        return self._postfix(*self._primary())

    def _primary(self) -> tuple[Code, str]:
        """Return a value, and its name if it is a variable."""
        kind, sign = self._kind(), self._next()
        self.at += 1
        if kind == "number":
            return constant(_number(sign)), ""
        if kind == "text":
            return constant(_unquoted(sign)), ""
        if kind == "name":
            return self._name(sign)
        if sign == "#":
            return lambda env: env["#"], ""
        if sign == "." and self._kind() == "name":  # of the element, in a loop such as `filter(list, .x > 1)`
            word = self._word()
            return lambda env: member(env["#"], word), ""
        if sign == "(":
            return self._group(), ""
        if sign == "[":
            return several(self._list("]")), ""
        if sign == "{":
            return self._map(), ""
        raise ExpressionError(f"a value is missing before {sign or 'its end'!r}")

    def _group(self) -> Code:
        values = self._list(")")
        return values[0] if len(values) == 1 else several(values)

    def _name(self, token: str) -> tuple[Code, str]:
        if token in _WORDS:
            return constant(_WORDS[token]), ""
        if self._take("("):
            return self._call(token, [], opened=True), ""
        if self.bare:
            return constant(token), ""
        self.names.add(token)
        return lambda env: part(env, token), token

    def _word(self) -> str:
        if self._kind() != "name":
            raise ExpressionError(f"a name is missing before {self._next() or 'its end'!r}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def _list(self, closing: str) -> list[Code]:
        found: list[Code] = []
        while not self._take(closing):
            if found:
                self._need(",")
            found.append(self._ternary())
        return found

    def _map(self) -> Code:
        pairs: list[tuple[str, Code]] = []
        while not self._take("}"):
            if pairs:
                self._need(",")
            kind, key = self._kind(), self._next()
            self.at += 1
            self._need(":")
            pairs.append((_unquoted(key) if kind == "text" else key, self._ternary()))
        return lambda env: {key: code(env) for key, code in pairs}

    def _call(self, name: str, first: list[Code], *, opened: bool = False) -> Code:
        if not opened:
            self._need("(")
        if name in LOOPS:
            return self._loop(name, first)
        if name == "jsonpath":
            return _json_path(first + self._list(")"))
        if name not in FUNCTIONS:
            there = ", ".join(sorted((*FUNCTIONS, *LOOPS, "jsonpath")))
            raise ExpressionError(f"there is no function {name!r} here; there are {there}")
        function, values = FUNCTIONS[name], first + self._list(")")
        return lambda env: function(*(code(env) for code in values))

    def _loop(self, name: str, first: list[Code]) -> Code:
        if not first:
            first = [self._ternary()]
            self._need(",")
        braced = self._take("{")
        each = self._ternary()
        if braced:
            self._need("}")
        self._need(")")
        return lambda env: LOOPS[name](first[0](env), lambda item: each({**env, "#": item}))

    def _postfix(self, code: Code, path: str) -> Code:
        while self._kind() == "sign":
            if self._take("."):
                code, path = self._member(code, path, self._word())
            elif self._take("?."):
                code, path = optional_member(code, self._word()), ""
            elif self._take("["):
                code, path = self._index(code, path)
            else:
                break
        return code

    def _member(self, code: Code, path: str, word: str) -> tuple[Code, str]:
        if path == "sprig":
            if word not in SPRIG:
                raise ExpressionError(f"there is no sprig.{word} here; there are {', '.join(sorted(SPRIG))}")
            self.names.discard(path)
            self._need("(")
            function, values = SPRIG[word], self._list(")")
            return lambda env: function(*(value(env) for value in values)), ""
        return (lambda env: member(code(env), word)), self._longer(path, word)

    def _index(self, code: Code, path: str) -> tuple[Code, str]:
        kind, token = self._kind(), self._next()
        start = None if self._next() == ":" else self._ternary()
        if self._take(":"):
            end = None if self._next() == "]" else self._ternary()
            self._need("]")
            return sliced(code, start, end), ""
        self._need("]")
        assert start is not None  # noqa: S101 - else there was a colon
        return element(code, start), self._longer(path, _unquoted(token)) if kind == "text" else ""

    def _longer(self, path: str, word: str) -> str:
        if not path:
            return ""
        self.names.discard(path)
        self.names.add(f"{path}.{word}")
        return f"{path}.{word}"


def _json_path(values: list[Code]) -> Code:
    if len(values) != 2:
        raise ExpressionError("jsonpath takes a text and a path")
    text, path = values
    return lambda env: json_path(text(env), path(env), _condition)


def _condition(text: str) -> Callable[[Value], bool]:
    """Return the condition of a JSONPath on an element, which is `@` there."""
    code = parse(text.replace("@", "#")).code
    return lambda item: code({"#": item}) is True
