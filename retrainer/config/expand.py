"""Merge `defaults` and `templates` into the rules of a file. Each value keeps the position where it was written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.errors import did_you_mean, nearest
from retrainer.config.examples import flow
from retrainer.config.short_forms import lengthen
from retrainer.config.tree import REFUSED, Node, plain, spell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.errors import Problem
    from retrainer.config.tree import Path

_HOLE = re.compile(r"\$\{\{\s*([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")
_OWN = ("template", "with")


LONGEST_TEXT = 1_000_000
"""Maximum characters of one text that a template fills: placeholders multiply what they are replaced by."""


class _TooLongError(Exception):
    """The argument is the number of characters."""


class RuleTemplate(NamedTuple):
    """A rule's body with `${{ name }}` placeholders."""

    body: Node
    parameters: frozenset[str]
    embedded: frozenset[str]
    """Parameters that are used within other text, and so must be scalars."""


def templates(section: Node | None) -> tuple[dict[str, RuleTemplate | None], list[Problem]]:
    """Read the `templates` of a file. A template with problems is None, so that rules that use it report nothing."""
    found: dict[str, RuleTemplate | None] = {}
    problems: list[Problem] = []
    for name, node in (section.items() if section else {}).items():
        wrong = list(_wrong_template(node, ("templates", name)))
        problems += wrong
        body = node.get("rule")
        whole = not wrong and not any(child.value is REFUSED for child in node.items().values())
        found[name] = RuleTemplate(body, _parameters(node), frozenset(_embedded(body))) if body and whole else None
    return found, problems


def expand(
    rule: Node, path: Path, known: Mapping[str, RuleTemplate | None], defaults: Node | None
) -> tuple[Node | None, list[Problem]]:
    """Merge template and defaults into a rule. Values of the rule have precedence, then the template, then defaults.

    Return no rule if its template does not exist, or if `with` does not match the template's parameters.
    """
    named = rule.get("template")
    own = lengthen(Node({k: v for k, v in rule.items().items() if k not in _OWN}, rule.mark, rule.keys), "rules")
    if named is None and rule.get("with"):
        where = spell((*path, "with"))
        return None, [rule.key("with").problem(where, "`with` without a `template`", "name the template")]
    if named is None:
        return _over(own, defaults), []
    given = rule.get("with") or Node({}, named.mark)
    if REFUSED in (named.value, given.value, *(child.value for child in given.items().values())):
        return None, []
    name = str(named.value)
    template = known.get(name)
    if template is None:
        what, hint = f"unknown template `{name}`", did_you_mean(name, known, "add it under `templates:`")
        unknown = named.mark.problem(spell((*path, "template")), what, hint, "reference")
        return None, [] if name in known else [unknown]
    problems = list(_wrong_with(given, template, (*path, "with")))
    if problems:
        return None, problems
    try:
        filled = lengthen(_fill(template.body, given.items()), "rules")
    except _TooLongError as error:
        what = f"the template `{name}` expands it to a text of {error} characters"
        return None, [rule.mark.problem(spell(path), what, f"at most {LONGEST_TEXT} are allowed")]
    return _over(_over(own, filled), defaults), []


def weight(node: Node, most: int) -> int:
    """The number of values of a rule, including those of its template; counting stops beyond ``most``."""
    ahead, values = [node], 0
    while ahead and values <= most:
        one = ahead.pop()
        values += 1
        ahead += [*one.items().values(), *one.elements()]
    return values


def _over(above: Node, below: Node | None) -> Node:
    """Merge two maps recursively; ``above`` has precedence. Lists and scalars are not merged."""
    if below is None or not isinstance(above.value, dict) or not isinstance(below.value, dict):
        return above
    merged = dict(above.value)
    for key, child in below.value.items():
        merged[key] = _over(merged[key], child) if key in merged else child
    return Node(merged, above.mark, {**below.keys, **above.keys})


def _fill(node: Node, values: Mapping[str, Node]) -> Node:
    """Fill placeholders. A text that is one placeholder becomes the value, with its type and position."""
    if isinstance(node.value, dict):
        names = {key: _text(key, values) for key in node.value}
        entries = {names[key]: _fill(child, values) for key, child in node.value.items()}
        return Node(entries, node.mark, {names.get(key, key): mark for key, mark in node.keys.items()})
    if isinstance(node.value, list):
        return Node([_fill(child, values) for child in node.value], node.mark)
    if not isinstance(node.value, str) or "${{" not in node.value:
        return node
    whole = _HOLE.fullmatch(node.value)
    return values[whole[1]] if whole else Node(_text(node.value, values), node.mark)


def _text(text: str, values: Mapping[str, Node]) -> str:
    if "${{" not in text:
        return text
    length = len(text) + sum(len(_written(values[name])) for name in _HOLE.findall(text))
    if length > LONGEST_TEXT:
        raise _TooLongError(length)
    return _HOLE.sub(lambda hole: _written(values[hole[1]]), text)


def _written(node: Node) -> str:
    return str(node.value).lower() if isinstance(node.value, bool) else node.written or str(node.value)


def _parameters(template: Node) -> frozenset[str]:
    listed = template.get("parameters")
    return frozenset(str(child.value) for child in listed.elements()) if listed else frozenset()


def _embedded(node: Node) -> Iterator[str]:
    for child in (*node.items().values(), *node.elements()):
        yield from _embedded(child)
    for text in (*node.items(), node.value):
        if isinstance(text, str) and (text is not node.value or not _HOLE.fullmatch(text)):
            yield from _HOLE.findall(text)


def _wrong_template(node: Node, path: Path) -> Iterator[Problem]:
    if not isinstance(node.value, dict):
        yield node.mark.problem(spell(path), "a template is a map", "write `parameters: [...]` and `rule: {...}`")
        return
    for key in node.items():
        if key not in ("parameters", "rule"):
            yield node.key(key).problem(
                spell((*path, key)), f"unknown field `{key}`", did_you_mean(key, ("parameters", "rule"))
            )
    listed, body = node.get("parameters"), node.get("rule")
    if any(child is not None and child.value is REFUSED for child in (listed, body)):
        return
    if listed is not None and not isinstance(listed.value, list):
        yield listed.mark.problem(
            spell((*path, "parameters")), "expected a list of names", "write `parameters: [model]`"
        )
    if body is None or not isinstance(body.value, dict):
        yield (body or node).mark.problem(
            spell((*path, "rule")), "`rule` is missing or not a map", "write the rule's body beneath it"
        )
    else:
        yield from _unknown_holes(body, _parameters(node), (*path, "rule"))


def _unknown_holes(node: Node, parameters: frozenset[str], path: Path) -> Iterator[Problem]:
    for step, child in node.children():
        yield from _unknown_holes(child, parameters, (*path, step))
    texts = [(key, node.key(key)) for key in node.items()] + [(str(node.value), node.mark)] * isinstance(
        node.value, str
    )
    for text, mark in texts:
        for name in _HOLE.findall(text):
            if name not in parameters:
                hint = did_you_mean(name, parameters, f"write `parameters: [{name}]`")
                yield mark.problem(spell(path), f"`{name}` is not among the template's parameters", hint)


def _misnamed(name: str, value: Node, parameters: frozenset[str]) -> str:
    if near := nearest(name, parameters):
        return f"did you mean `{near}`?"
    known = ", ".join(sorted(parameters)) or "there are none"
    return f"remove `{flow({name: plain(value)})[1:-1]}`, or add `{name}` to the template's parameters: {known}"


def _wrong_with(given: Node, template: RuleTemplate, path: Path) -> Iterator[Problem]:
    if not isinstance(given.value, dict):
        yield given.mark.problem(spell(path), "expected a map", "write `with: {name: value}`")
        return
    for name in given.value:
        if name not in template.parameters:
            yield given.key(name).problem(
                spell((*path, name)),
                f"the template has no parameter `{name}`",
                _misnamed(name, given.value[name], template.parameters),
            )
        elif name in template.embedded and isinstance(given.value[name].value, (dict, list, type(None))):
            yield given.value[name].mark.problem(
                spell((*path, name)),
                "a text, a number, or true or false is needed: the template inserts it into a text",
                "write a scalar",
            )
    for name in sorted(template.parameters - given.value.keys()):
        yield given.mark.problem(
            spell(path), f"the template's parameter `{name}` is not given", f"add `{name}: VALUE` to `with`"
        )
