"""PURE: the mutants of a rule file. The same file gives the same mutants, in the same order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Rule = dict[str, Any]

SWAPS: dict[str, tuple[str, ...]] = {
    ">": (">=", "<"),
    "<": ("<=", ">"),
    ">=": (">", "<"),
    "==": ("!=",),
    "and": ("unless", "or"),
    "or": ("and",),
    "unless": ("and",),
    "max by": ("min by", "sum by"),
    "min by": ("max by",),
    "sum by": ("max by", "min by"),
    "count by": ("sum by",),
    "topk": ("bottomk",),
    "min_over_time": ("max_over_time",),
    "avg_over_time": ("max_over_time", "min_over_time"),
    "increase": ("rate",),
    "rate": ("increase",),
    "abs": ("-",),
    "/": ("*",),
    "*": ("+",),
    "+": ("-",),
    "-": ("+",),
}
"""What replaces each operator and function."""
TOKEN = re.compile(
    r"""(?P<text>"[^"]*")
      | (?P<comment>\#[^\n]*)
      | (?P<range>\[\w+(?::\w*)?\])
      | (?P<labels>\b(?:by|on|group_left)\s*\([^)]*\))
      | (?P<word>[a-zA-Z_:][\w:]*)
      | (?P<number>\b\d+(?:\.\d+)?)
      | (?P<operator>=~|!~|>=|<=|==|!=|[-+*/^<>=])""",
    re.VERBOSE,
)
AGGREGATION = re.compile(r"\b(max|min|sum|count)(?= by\b)")
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
DURATION = re.compile(r"(\d+)([smhd])")
OPPOSITE = {"=": "!=", "!=": "=", "=~": "!~", "!~": "=~"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """``rule`` with one change. ``change`` describes it, and where in the expression it is."""

    name: str
    change: str
    rule: Rule

    @property
    def id(self) -> str:
        return f"{self.name}: {self.change}"


def mutants(rule: Rule) -> Iterator[Mutant]:
    """Yield all mutants of a rule."""
    name = rule.get("alert") or f"{rule['record']}{{{', '.join(rule['labels'].values())}}}"
    for change, mutated in (*_of_expression(rule), *_of_duration(rule), *_of_labels(rule)):
        yield Mutant(name, change, mutated)


def _of_expression(rule: Rule) -> Iterator[tuple[str, Rule]]:
    seen: set[str] = set()
    for start, end, new in _replacements(rule["expr"]):
        expr = rule["expr"][:start] + new + rule["expr"][end:]
        if expr not in seen:
            seen.add(expr)
            old = " ".join(rule["expr"][start:end].split())
            line = rule["expr"][:start].count("\n") + 1
            yield f"line {line}, `{old}` at {start} becomes `{new}`", rule | {"expr": expr}


def _replacements(expr: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and new text of each change."""
    for found in AGGREGATION.finditer(expr):
        for new in SWAPS[f"{found[1]} by"]:
            yield found.start(), found.end(), new.removesuffix(" by")
    for found in MATCHER.finditer(expr):
        for new in _of_matcher(found):
            yield found.start(), found.end(), new
    for found in TOKEN.finditer(expr):
        for new in _of_token(expr, found):
            yield found.start(), found.end(), new


def _of_token(expr: str, found: re.Match[str]) -> Iterable[str]:
    match found.lastgroup:
        case "labels":
            return _without_each_label(found[0])
        case "range":
            return _longer_and_shorter(found[0])
        case "number":
            return _more_and_less(found[0])
        case "word":
            return SWAPS.get(found[0], ())
        case "operator" if not _in_braces(expr, found.start()):
            return SWAPS.get(found[0], ())
    return ()


def _in_braces(expr: str, at: int) -> bool:
    return expr.rfind("{", 0, at) > expr.rfind("}", 0, at)


def _of_matcher(found: re.Match[str]) -> Iterator[str]:
    """Negate the matcher, and drop each alternative of a regular expression."""
    label, operator, value = found.groups()
    yield f'{label}{OPPOSITE[operator]}"{value}"'
    inner = re.search(r"\(([^)]*)\)", value)
    alternatives = (inner[1] if inner else value).split("|")
    for dropped in alternatives if len(alternatives) > 1 else ():
        rest = "|".join(each for each in alternatives if each != dropped)
        new = value.replace(inner[1], rest) if inner else rest
        yield f'{label}{operator}"{new}"'


def _without_each_label(text: str) -> Iterator[str]:
    word, _, inner = text.partition("(")
    labels = [label.strip() for label in inner.rstrip(")").split(",") if label.strip()]
    for dropped in labels:
        rest = ", ".join(label for label in labels if label != dropped)
        yield f"{word}({rest})"


def _longer_and_shorter(text: str) -> tuple[str, str]:
    return DURATION.sub(lambda d: _seconds(d, 2), text, count=1), DURATION.sub(
        lambda d: _seconds(d, 0.5), text, count=1
    )


def _seconds(duration: re.Match[str], factor: float) -> str:
    return f"{int(int(duration[1]) * {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[duration[2]] * factor)}s"


def _more_and_less(text: str) -> tuple[str, ...]:
    """Small integers change by one, other numbers by a quarter."""
    value = float(text)
    if value.is_integer() and value <= 10:
        return (f"{value + 1:g}", f"{value - 1:g}")
    return (f"{value * 1.25:g}", f"{value * 0.75:g}")


def _of_duration(rule: Rule) -> Iterator[tuple[str, Rule]]:
    if "alert" not in rule:
        return
    if "for" not in rule:
        yield "`for: 5m` is added", rule | {"for": "5m"}
        return
    for new in _longer_and_shorter(rule["for"]):
        yield f"`for: {rule['for']}` becomes `{new}`", rule | {"for": new}
    yield f"`for: {rule['for']}` is dropped", {key: value for key, value in rule.items() if key != "for"}


def _of_labels(rule: Rule) -> Iterator[tuple[str, Rule]]:
    for label in rule["labels"]:
        rest = {key: value for key, value in rule["labels"].items() if key != label}
        yield f"label {label} is dropped", rule | {"labels": rest}
        yield f"label {label} has another value", rule | {"labels": rest | {label: "other"}}
