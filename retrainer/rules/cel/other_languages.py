"""What operators, words and functions of Python, SQL and JavaScript are in CEL."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from retrainer.rules.cel.tokens import Token

_OPERATORS = {
    "and": "write `&&`",
    "or": "write `||`",
    "not": "write `!`",
    "is": "write `==`; a field that is missing is `!has(FIELD)`",
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
_TIMES = {
    "window": "`window.end` for the end of the batch",
    "trigger": "`trigger.scheduled_at` for the scheduled time",
}
"""What stands for the present time, by the variable that it belongs to."""
_AGE = (
    "for a fixed date write such as `event.time > timestamp('2026-11-24T00:00:00Z')`; to train when the model is too "
    "old, remove it and add under `triggers:` such as `stale: {freshness: {max_age: 14d}}`"
)
"""What replaces a comparison of an event with the present time."""
_SPECIAL = re.compile(r"[.+*?(){}|$]")
_TESTS = {(False, True): "startsWith", (True, False): "endsWith", (True, True): "contains"}
"""Method for a text of `LIKE`, by whether it has a `%` at the beginning and at the end."""


def operator_hint(words: Sequence[Token], at: int, text: str) -> str:
    """Return what to write where the word at ``at`` of ``text`` is not expected, empty if it is unknown."""
    word, before = words[at], words[at - 1] if at else None
    if word.text == "if" and (choice := _choice(words, at, text)):
        return choice
    if word.text == "not" and (negated := _negated(words, at, text)):
        return negated
    if word.text.lower() == "like" and words[at + 1].kind == "value" and isinstance(words[at + 1].value, str):
        return _like(_operand(words, at), words[at + 1].value)
    if before is not None and word.kind == "name" and before.kind == "value" and not isinstance(before.value, str):
        unit = _OPERATORS.get(word.text.lower())
        alone = words[at + 1].kind == "end" and at == 1
        return unit or (f'write "{before.text}", without a unit' if alone else f"write {before.text} without a unit")
    if word.text in ("=", ">") and before is not None and before.text in ("==", "!=", "<"):
        return _OPERATORS[before.text]
    if word.kind == "end" and before is not None and before.kind == "op":
        return f"write a value behind `{before.text}`"
    return _OPERATORS.get(word.text.lower(), "")


def list_in_brackets(words: Sequence[Token], at: int) -> tuple[Token, str] | None:
    """Return the bracket and the hint for `in (a, b)`, where the word at ``at`` is its first comma."""
    opened = next((i for i in range(at - 1, 0, -1) if words[i].text in "()"), 0)
    if words[at].text != "," or words[opened].text != "(" or words[opened - 1].text != "in":
        return None
    items = [
        word.text
        for word in takewhile(lambda one: one.text not in ("(", ")") and one.kind != "end", words[opened + 1 :])
    ]
    return words[opened], f"write `[{''.join(items).replace(',', ', ')}]`"


def _choice(words: Sequence[Token], at: int, text: str) -> str:
    """`a if b else c` as CEL has it, if it is the whole text; else empty."""
    end = next((i for i in range(at + 1, len(words) - 1) if words[i].text == "else"), 0)
    if not end or any(word.text in "()[]{}" for word in words[:-1]):
        return ""
    then, condition, other = text[: words[at].at], text[words[at + 1].at : words[end].at], text[words[end + 1].at :]
    return f"write `{condition.strip()} ? {then.strip()} : {other.strip()}`"


def _negated(words: Sequence[Token], at: int, text: str) -> str:
    """`a not in (b)` as CEL has it; empty for another `not`."""
    operand = _operand(words, at)
    if not operand or words[at + 1].text != "in":
        return ""
    items = text[words[at + 2].at :].strip()
    plain = items[:1] == "(" and items.find(")") == len(items) - 1
    return f"write `!({operand} in {f'[{items[1:-1]}]' if plain else '…'})`"


def _operand(words: Sequence[Token], at: int) -> str:
    """The names and dots that end before ``at``."""
    begin = at
    while begin and (
        words[begin - 1].text == "." or (words[begin - 1].kind == "name" and words[begin].text in (".", words[at].text))
    ):
        begin -= 1
    return "".join(word.text for word in words[begin:at])


def _like(operand: str, pattern: str) -> str:
    inner = pattern.strip("%")
    if "'" in pattern or not operand or operand.startswith("."):
        return _OPERATORS["like"]
    if "%" in inner or "_" in inner:
        regex = _SPECIAL.sub(r"[\g<0>]", pattern).replace("%", ".*").replace("_", ".")
        return f"write `{operand}.matches('^{regex}$')`"
    test = _TESTS.get((pattern.startswith("%"), pattern.endswith("%")))
    return f"write `{operand}.{test}('{inner}')`" if test else f"write `{operand} == '{inner}'`"


def name_hint(name: str, fields: Mapping[str, str]) -> str:
    """Return what to write instead of an unknown name, empty if it is unknown.

    ``fields`` has the variable that each field belongs to.
    """
    if name in _CONSTANTS:
        return f"write `{_CONSTANTS[name]}`"
    return f"write `{fields[name]}.{name}`" if name in fields else ""


def function_hint(name: str, scope: Container[str]) -> str:
    """Return what a function of another language is in CEL, empty if it is unknown. ``scope`` has the variables."""
    if name in ("now", "today", "utcnow", "time"):
        known = " or ".join(text for variable, text in _TIMES.items() if variable in scope)
        instead = f"write {known}" if known else _AGE if "event" in scope else "remove it"
        return f"an expression cannot read the clock: {instead}"
    return f"write `{_FUNCTIONS[name]}`" if name in _FUNCTIONS else ""
