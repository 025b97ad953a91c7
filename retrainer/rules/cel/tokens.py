"""The tokens of an expression: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.rules.cel.errors import SyntaxProblem
from retrainer.rules.cel.values import UInt

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(
    r"""
    (?P<space>(?:\s|//[^\n]*)+)
  | (?P<float>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
  | (?P<int>(?:0[xX][0-9a-fA-F]+|[0-9]+)[uU]?)
  | (?P<text>
        (?:[bB][rR]|[rR][bB]|[rR])(?:\"{3}(?s:.*?)\"{3}|'{3}(?s:.*?)'{3}|"[^"\n\r]*"|'[^'\n\r]*')
      | [bB]?(?:\"{3}(?s:(?:[^\\]|\\.)*?)\"{3}|'{3}(?s:(?:[^\\]|\\.)*?)'{3}|"(?:[^"\\\n\r]|\\.)*"|'(?:[^'\\\n\r]|\\.)*')
    )
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<op>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|([xX])([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.|$))",
    re.DOTALL,
)
_SIMPLE = dict(zip("abfnrtv\\?\"'`", "\a\b\f\n\r\t\v\\?\"'`", strict=True))
_INT = range(-(2**63), 2**63)
LARGEST = 2**64 - 1


class Token(NamedTuple):
    """``kind`` is value, name, op or end; ``text`` is as written."""

    kind: str
    text: str
    at: int
    value: Any = None


def tokens(text: str) -> list[Token]:
    """All tokens, and one of kind `end`. Raise SyntaxProblem for invalid text."""
    found = list(_tokens(text))
    found.append(Token("end", "the end", len(text)))
    return found


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise SyntaxProblem(at, f"unexpected `{text[at]}`", _way_out(text[at]))
        word, kind = found[0], str(found.lastgroup)
        if kind in ("name", "op"):
            yield Token(kind, word, at)
        elif kind != "space":
            yield Token("value", word, at, _READ[kind](word, at))
        at = found.end()


def _way_out(character: str) -> str:
    if character in "\"'":
        return "close the text with the same quotation mark"
    return {"=": "equality is written `==`", "&": "write `&&`", "|": "write `||`"}.get(character, "")


def _int(word: str, at: int) -> int:
    """Raise SyntaxProblem beyond 64 bits. 2^63 itself is accepted, as a minus may precede it."""
    signed = word[-1] not in "uU"
    digits = word if signed else word[:-1]
    value = int(digits, 16 if digits[:2] in ("0x", "0X") else 10) if len(digits) < 40 else LARGEST + 1
    if value > (_INT.stop if signed else LARGEST):
        raise SyntaxProblem(at, f"{word:.40} is beyond 64 bits")
    return value if signed else UInt(value)


def _float(word: str, at: int) -> float:
    value = float(word)
    if value == float("inf"):
        raise SyntaxProblem(at, f"{word:.40} is beyond what a number holds")
    return value


def _text(word: str, at: int) -> str | bytes:
    quote = min(i for i in (word.find('"'), word.find("'")) if i >= 0)
    prefix, body = word[:quote].lower(), word[quote:]
    ends = 3 if body[:3] in ('"""', "'''") and len(body) >= 6 else 1
    inside = body[ends:-ends]
    if "b" in prefix:
        return inside.encode() if "r" in prefix else _bytes(inside, at + quote + ends)
    return inside if "r" in prefix else _ESCAPE.sub(lambda e: _character(e, at + quote + ends), inside)


def _character(escape: re.Match[str], at: int) -> str:
    simple, _, hexadecimal, short, long, octal, unknown = escape.groups()
    if unknown is not None:
        raise SyntaxProblem(at + escape.start(), f"`\\{unknown}` means nothing", f"write `\\\\{unknown}`, or r'…'")
    if simple:
        return _SIMPLE[simple]
    code = int(octal, 8) if octal else int(hexadecimal or short or long, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise SyntaxProblem(at + escape.start(), f"`{escape[0]}` is no character")
    return chr(code)


def _bytes(inside: str, at: int) -> bytes:
    """Escapes of two hexadecimal or three octal digits are bytes; everything else becomes UTF-8."""
    out, last = bytearray(), 0
    for escape in _ESCAPE.finditer(inside):
        out += inside[last : escape.start()].encode()
        byte = escape[3] is not None or escape[6] is not None
        out += _character(escape, at).encode("latin-1" if byte else "utf-8")
        last = escape.end()
    return bytes(out + inside[last:].encode())


_READ = {"int": _int, "float": _float, "text": _text}
