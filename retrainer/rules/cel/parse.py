"""Parse text to nodes by precedence climbing, with limits for length, nesting and macros."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from retrainer.rules.cel.errors import SyntaxProblem
from retrainer.rules.cel.other_languages import list_in_brackets, operator_hint
from retrainer.rules.cel.syntax import (
    Call,
    Chain,
    Choice,
    Default,
    Item,
    ListLiteral,
    Literal,
    Logic,
    Macro,
    Mapping,
    Name,
    Node,
    Prefix,
    Select,
)
from retrainer.rules.cel.tokens import Token, tokens

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LENGTH = 2048
"""Maximum characters of an expression."""
MAX_DEPTH = 32
"""Maximum levels of nesting."""
MAX_MACROS = 2
_FLATTER = f"remove brackets that are not needed; at most {MAX_DEPTH} may be open at once"
_FEWER = (
    "test a field with `match: {FIELD: VALUE}`, or let the sender add a field with the answer; "
    "`LIST.exists(x, x == VALUE)` is `VALUE in LIST`"
)
MACROS = ("all", "exists", "exists_one", "existsOne", "map", "filter")
_LEVELS = ({"||"}, {"&&"}, {"==", "!=", "<", "<=", ">", ">=", "in"}, {"+", "-"}, {"*", "/", "%"})
_WORDS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package"),
        *("namespace", "return", "var", "void", "while"),
    )
)
_TWO_TO_63 = 2**63


@lru_cache(maxsize=1024)  # a rule is checked first, then compiled
def parse(text: str) -> Node:
    """Parse an expression. Raise SyntaxProblem with the place and a correction."""
    if len(text) > MAX_LENGTH:
        raise SyntaxProblem(0, f"expression of {len(text)} characters; at most {MAX_LENGTH} are allowed", "split it")
    return _Parser(text).whole()


class _Parser:
    """Reads the tokens once. ``_level`` is the current nesting, ``_macros`` the number of macros so far."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = tokens(text)
        self._next = 0
        self._level = 0
        self._macros = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._word.kind != "end":
            raise self._unexpected()
        return node

    @property
    def _word(self) -> Token:
        return self._words[self._next]

    def _is(self, *ops: str) -> bool:
        word = self._word
        return word.kind in ("op", "name") and word.text in ops

    def _take(self) -> Token:
        word = self._word
        self._next += 1
        return word

    def _expect(self, op: str) -> Token:
        if not self._is(op):
            raise self._unexpected(f"`{op}`")
        return self._take()

    def _unexpected(self, wanted: str = "") -> SyntaxProblem:
        word = self._word
        found = "it ends too early" if word.kind == "end" else f"unexpected `{word.text:.40}`"
        before = self._words[self._next - 1] if self._next else None
        at = self._next
        if before is not None and before.text == "not":
            word, found, at = before, "unexpected `not`", at - 1
        if listed := list_in_brackets(self._words, at):
            return SyntaxProblem(listed[0].at, "a list stands in square brackets", listed[1])
        hint = operator_hint(self._words, at, self._text)
        return SyntaxProblem(word.at, found + (f", {wanted} is expected" if wanted else ""), hint)

    def _deeper(self, at: int) -> None:
        self._level += 1
        if self._level > MAX_DEPTH:
            raise SyntaxProblem(at, f"nested deeper than {MAX_DEPTH} levels", _FLATTER)

    def _expression(self) -> Node:
        at = self._word.at
        self._deeper(at)
        node = self._binary(0)
        if self._is("?"):
            self._take()
            then = self._binary(0)
            self._expect(":")
            node = Choice(at, node, then, self._expression())
        self._level -= 1
        return node

    def _binary(self, level: int) -> Node:
        if level == len(_LEVELS):
            return self._prefixed()
        at, ops = self._word.at, _LEVELS[level]
        first, rest = self._binary(level + 1), []
        while self._is(*ops):
            op = self._take().text
            rest.append((op, self._binary(level + 1)))
        if not rest:
            return first
        if level < 2:
            return Logic(at, rest[0][0], (first, *(term for _, term in rest)))
        return Chain(at, first, tuple(rest))

    def _prefixed(self) -> Node:
        signs = []
        while self._is("!", "-"):
            signs.append(self._take())
        if len(signs) > MAX_DEPTH:
            raise SyntaxProblem(signs[0].at, f"nested deeper than {MAX_DEPTH} levels", "remove the signs")
        if signs and signs[-1].text == "-" and type(self._word.value) in (int, float):
            number = self._take()
            node = self._members(Literal(signs.pop().at, -number.value))
        else:
            node = self._members(self._primary())
        for sign in reversed(signs):
            node = Prefix(sign.at, sign.text, node)
        return node

    def _primary(self) -> Node:
        word = self._word
        if word.kind == "value":
            return self._literal()
        if word.kind == "name":
            return self._name()
        if self._is("("):
            self._take()
            node = self._expression()
            self._expect(")")
            return node
        if self._is("["):
            self._take()
            return ListLiteral(word.at, tuple(self._several("]", self._expression)))
        if self._is("{"):
            self._take()
            return Mapping(word.at, tuple(self._several("}", self._entry)))
        raise self._unexpected()

    def _literal(self) -> Node:
        word = self._take()
        if type(word.value) is int and word.value >= _TWO_TO_63:
            raise SyntaxProblem(word.at, f"{word.text} is beyond 64 bits")
        return Literal(word.at, word.value)

    def _name(self) -> Node:
        word = self._take()
        if word.text in _WORDS:
            return Literal(word.at, _WORDS[word.text])
        if word.text in _RESERVED or word.text == "in":
            raise SyntaxProblem(word.at, f"`{word.text}` is a word of the language, and no name")
        if not self._is("("):
            return Name(word.at, word.text)
        self._take()
        args = tuple(self._several(")", self._expression))
        special = {"has": self._has, "default": self._default}.get(word.text)
        return special(word, args) if special is not None else Call(word.at, word.text, None, args)

    def _default(self, word: Token, args: tuple[Node, ...]) -> Node:
        if len(args) != len(("value", "otherwise")):
            raise SyntaxProblem(word.at, "`default` takes a value and another one", "write `default(event.data.n, 0)`")
        return Default(word.at, *args)

    def _has(self, word: Token, args: tuple[Node, ...]) -> Node:
        field = args[0] if len(args) == 1 else None
        if not isinstance(field, Select) or field.test:
            raise SyntaxProblem(word.at, "`has` takes a field", "write `has(event.data.size)`")
        return Select(word.at, field.of, field.field, field.field_at, test=True)

    def _members(self, node: Node) -> Node:
        """Parse what follows a value: fields, calls and items."""
        began = self._level
        while self._is(".", "["):
            at = self._take().at
            self._deeper(at)
            if self._words[self._next - 1].text == "[":
                node = Item(at, node, self._expression())
                self._expect("]")
            else:
                node = self._member(node)
        self._level = began
        return node

    def _member(self, of: Node) -> Node:
        word = self._word
        if word.kind != "name" or word.text in _WORDS or word.text == "in":
            raise self._unexpected("the name of a field")
        self._take()
        if not self._is("("):
            return Select(of.at, of, word.text, word.at)
        self._take()
        self._count_macro(word)
        args = tuple(self._several(")", self._expression))
        if word.text in MACROS:
            return self._macro(word, of, args)
        return Call(word.at, word.text, of, args)

    def _count_macro(self, word: Token) -> None:
        """Count before its arguments are read, so that the last one in the text is the one too many."""
        self._macros += word.text in MACROS
        if self._macros > MAX_MACROS:
            all_of_them = "all, exists, exists_one, map and filter"
            message = f"this `{word.text}` is one too many: at most {MAX_MACROS} of {all_of_them} in one expression"
            raise SyntaxProblem(word.at, message, _FEWER)

    def _macro(self, word: Token, of: Node, args: tuple[Node, ...]) -> Node:
        filtering = word.text == "map" and len(args) == 3
        if (len(args) != 2 and not filtering) or not isinstance(args[0], Name):
            message = f"`{word.text}` takes a name and what is asked of each item"
            raise SyntaxProblem(word.at, message, f"write `.{word.text}(x, …)`")
        kind = "exists_one" if word.text == "existsOne" else word.text
        return Macro(word.at, kind, of, args[0].name, args[-1], args[1] if filtering else None)

    def _several(self, close: str, read: Callable[[], object]) -> list:  # type: ignore[type-arg]
        found = []
        while not self._is(close):
            found.append(read())
            if not self._is(","):
                break
            self._take()
        self._expect(close)
        return found

    def _entry(self) -> tuple[Node, Node]:
        key = self._expression()
        self._expect(":")
        return key, self._expression()
