"""PURE: which tags have a value at one place of a template."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression import parse
from retrainer.workflows.local.expression_functions import ExpressionError
from retrainer.workflows.local.shapes import LONGEST_NAME, Problem
from retrainer.workflows.local.tags import replaced, tags, unclosed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

MOST_NAMED = 10
"""Names that a message lists."""
MOST_COMPARED = 500
"""Tags of nodes among which a message looks for a similar one."""


@dataclass(frozen=True, slots=True)
class Tags:
    """``exact``: whole tags. ``prefixes``: tags that begin so may be there; whether they are shows when it runs.

    ``nodes``: what the nodes that have ended before leave, such as `outputs.parameters.auc` of `tasks.train`; None if
    that is not known.
    """

    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    nodes: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def plus(self, *exact: str, prefixes: tuple[str, ...] = ()) -> Tags:
        return replace(self, exact=self.exact.union(exact), prefixes=self.prefixes + prefixes)

    def after(self, nodes: Mapping[str, frozenset[str] | None]) -> Tags:
        return replace(self, nodes={**self.nodes, **nodes})

    def has(self, tag: str) -> bool:
        if tag in self.exact or tag.startswith(self.prefixes):
            return True
        node = ".".join(tag.split(".", 2)[:2])
        if node not in self.nodes:
            return False
        left = self.nodes[node]
        return left is None or tag.removeprefix(f"{node}.") in left

    def problem(self, tag: str) -> str:
        """Return why a tag, or an expression, has no value here; empty if it has one."""
        if not tag.startswith("="):
            return "" if self.has(tag) else f"the local engine cannot fill {{{{{cut(tag)}}}}} here; {self._could(tag)}"
        return self.expression_problem(tag[1:])

    def expression_problem(self, text: str) -> str:
        try:
            names = parse(text).names
        except ExpressionError as error:
            return f"the expression {cut(text.strip())!r} {error}"
        for name in sorted(names):
            if not self.has(name) and not self._leads(name):
                return f"the local engine cannot fill {cut(name)!r} in an expression here; {self._could(name)}"
        return ""

    def _leads(self, name: str) -> bool:
        """Return whether members of a name have values, or a value has that member."""
        nodes = (f"{node}.{tag}" for node, left in self.nodes.items() for tag in left or ("outputs.",))
        if any(tag.startswith(f"{name}.") for tag in (*self.exact, *self.prefixes, *nodes)):
            return True
        return name.startswith("item") and "item" in self.exact

    def _could(self, tag: str) -> str:
        """Return which tags have a value here, the most similar one first."""
        left = (f"{node}.{word}" for node, words in self.nodes.items() for word in sorted(words or ()))
        nodes = list(islice(left, MOST_COMPARED))
        everything = [*nodes, *sorted(self.exact, key=_rank)]
        similar = get_close_matches(cut(tag), everything, n=1, cutoff=0.75)
        shown = [*islice((one for one in nodes if "parameters." in one), MOST_NAMED), *everything[len(nodes) :]]
        found = list(dict.fromkeys([*similar, *shown]))
        return f"it could fill {some(found)}" if found else "write the value itself"


def _rank(tag: str) -> tuple[bool, str]:
    """Sort what a template defines before what all workflows have."""
    own = tag.startswith("workflow.parameters.") and not tag.endswith(".json")
    return tag.startswith("workflow.") and not own, tag


def unknown_tags(value: object, known: Tags, path: str) -> Iterator[Problem]:
    """Yield each tag in the texts of a JSON-shaped value that has no value, with the path of the text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from unknown_tags(inner, known, f"{path}.{cut(key)}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unknown_tags(inner, known, f"{path}[{index}]")
    elif isinstance(value, str):
        yield from _unknown_in(value, known, path)


def _unknown_in(text: str, known: Tags, path: str) -> Iterator[Problem]:
    for tag in sorted(set(tags(text))):
        if why := known.problem(tag):
            yield path, why
    if unclosed(text):
        yield path, "a tag is not closed: write }} after it"


def expression_problems(value: object, known: Tags, path: str) -> Iterator[Problem]:
    """Yield what is wrong with an expression, in which tags are replaced before it is evaluated."""
    problems = [*unknown_tags(value, known, path)]
    yield from problems
    if not problems and (why := known.expression_problem(replaced(str(value), lambda _: "1"))):
        yield path, why


def some(names: Collection[str], sign: str = ", ") -> str:
    """List the first names only, to keep messages short."""
    more = f"{sign}and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return sign.join(islice(names, MOST_NAMED)) + more


def cut(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"


def left_by(template: Mapping[str, Any] | None, *, is_loop: bool) -> frozenset[str] | None:
    """Return what a node leaves, as tags below its own; None if its template is not known."""
    if template is None:
        return None
    found = {"status", "startedAt", "finishedAt", "exitCode", "outputs.result"}
    outputs = template.get("outputs") or {}
    found |= {
        f"outputs.{what}.{item['name']}" for what in ("parameters", "artifacts") for item in outputs.get(what) or ()
    }
    return frozenset(found | {"outputs.parameters"} if is_loop else found)
