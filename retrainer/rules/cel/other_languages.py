"""What operators, words and functions of Python, SQL and JavaScript are in CEL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.cel.tokens import Token

_OPERATORS = {
    "and": "write `&&`",
    "or": "write `||`",
    "not": "write `!`",
    "is": "write `==`",
    "like": "write `.startsWith(…)`, `.endsWith(…)`, `.contains(…)` or `.matches(…)`",
    "between": "write `a <= x && x <= b`",
    "if": "write `condition ? value : other`",
    "else": "write `condition ? value : other`",
    "lambda": "write `.map(x, …)`, `.filter(x, …)`, `.exists(x, …)` or `.all(x, …)`",
    "==": "equality is written `==`",
    "!=": "inequality is written `!=`",
    "<": "inequality is written `!=`",
    "**": "there is no power operator",
}
_CONSTANTS = {"True": "true", "False": "false", "None": "null", "nil": "null", "NULL": "null", "undefined": "null"}
_FUNCTIONS = {
    "len": "size(…)",
    "length": "size(…)",
    "count": "size(…)",
    "lower": "….lowerAscii()",
    "toLower": "….lowerAscii()",
    "upper": "….upperAscii()",
    "toUpper": "….upperAscii()",
    "strip": "….trim()",
    "slice": "….substring(…)",
    "substr": "….substring(…)",
    "find": "….indexOf(…)",
    "concat": "a + b",
    "coalesce": "default(…, …)",
    "get": "default(…, …)",
    "unique": "….distinct()",
    "sorted": "….sort()",
    "isoformat": "string(…)",
    "date_trunc": "….truncate('day')",
    "str": "string(…)",
    "text": "string(…)",
    "float": "double(…)",
    "number": "double(…)",
    "long": "int(…)",
    "date": "timestamp(…)",
    "datetime": "timestamp(…)",
    "includes": "….contains(…)",
    "any": "….exists(x, …)",
    "some": "….exists(x, …)",
    "every": "….all(x, …)",
    "select": "….filter(x, …)",
    "regex": "….matches(…)",
    "search": "….matches(…)",
    "re_match": "….matches(…)",
    "isinstance": "type(…)",
    "typeof": "type(…)",
}
_CLOCK = "an expression cannot read the clock: use `event.time`, `window.end` or `trigger.scheduled_at`"


def operator_hint(before: Token | None, word: Token) -> str:
    """Return what to write where ``word`` is not expected, empty if it is unknown. ``before`` it is another token."""
    if before is not None and word.kind == "name" and before.kind == "value" and not isinstance(before.value, str):
        unit = _OPERATORS.get(word.text)
        return unit or f"write {before.text} without a unit"
    if word.text in ("=", ">") and before is not None and before.text in ("==", "!=", "<"):
        return _OPERATORS[before.text]
    if word.kind == "end" and before is not None and before.kind == "op":
        return f"write a value behind `{before.text}`"
    return "write a list in square brackets" if word.text == "," else _OPERATORS.get(word.text, "")


def name_hint(name: str, fields: Mapping[str, str]) -> str:
    """Return what to write instead of an unknown name, empty if it is unknown.

    ``fields`` has the variable that each field belongs to.
    """
    if name in _CONSTANTS:
        return f"write `{_CONSTANTS[name]}`"
    return f"write `{fields[name]}.{name}`" if name in fields else ""


def function_hint(name: str) -> str:
    """Return what a function of another language is in CEL, empty if it is unknown."""
    if name in ("now", "today", "utcnow", "time"):
        return _CLOCK
    return f"write `{_FUNCTIONS[name]}`" if name in _FUNCTIONS else ""
