"""Keep the written text of scalars that are compared or passed on as text, instead of the value that YAML reads.

`version: 1.10` as a label means the text 1.10, which no number has. If the number has the same text, it stays a number,
so that rules that were loaded before do not change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.config.tree import Node


def as_written(rule: Node) -> Node:
    """The rule with such scalars as text: labels of `match`, fields of events that hold text, parameters."""
    rule = _at(rule, ("submit",), lambda submit: _at(submit, ("parameters",), lambda found: _texts(found, _any)))
    return _at(rule, ("triggers",), lambda triggers: _each(triggers, _trigger))


def _trigger(trigger: Node) -> Node:
    trigger = _at(trigger, ("alert", "match"), lambda match: _texts(match, _any))
    metric = trigger.get("metric")
    asked = metric is not None and metric.get("expr") is not None
    trigger = _at(trigger, ("metric", "match"), lambda match: _texts(match, _any if asked else _holds_text))
    trigger = _at(trigger, ("data", "match"), lambda match: _texts(match, _holds_text))
    return _at(trigger, ("data", "ignore_own_outputs"), lambda match: _texts(match, _holds_text))


def _any(_field: str) -> bool:
    return True


def _holds_text(field: str) -> bool:
    return values.holds_text(field.split("."))


def _at(node: Node, path: tuple[str, ...], change: Callable[[Node], Node]) -> Node:
    """Change the value at a path, if there is one."""
    child = node.get(path[0])
    if child is None:
        return node
    changed = _at(child, path[1:], change) if len(path) > 1 else change(child)
    return node if changed is child else node._replace(value={**node.items(), path[0]: changed})


def _each(node: Node, change: Callable[[Node], Node]) -> Node:
    return node._replace(value={name: change(child) for name, child in node.items().items()}) if node.items() else node


def _texts(node: Node, wanted: Callable[[str], bool]) -> Node:
    """Replace numbers and booleans whose text differs from what was written by the written text."""
    changed = {
        name: child._replace(value=child.written)
        for name, child in node.items().items()
        if child.written and values.text(child.value) != child.written and wanted(name)
    }
    return node._replace(value={**node.items(), **changed}) if changed else node
