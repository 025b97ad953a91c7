"""Short forms: a scalar or a list where the format has a map, accepted where it has exactly one meaning.

They are replaced by the long form before `defaults` and templates are merged, so both forms merge alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.tree import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

ANY_NAME = "*"


class ShortForm(NamedTuple):
    """A value of one of ``kinds`` stands for a map with this value as its ``field``.

    Without ``field``, a text stands for a list with it as the only item.
    """

    kinds: tuple[type, ...]
    field: str
    wraps: bool = False
    """Whether the field is a list with the text as its only item."""

    def long(self, node: Node) -> Node:
        inner = Node([node], node.mark) if self.wraps or not self.field else node
        return Node({self.field: inner}, node.mark, {self.field: node.mark}) if self.field else inner


_TEXT = (str,)
SHORT_FORMS: Mapping[tuple[str, ...], ShortForm] = {
    ("rules", "triggers", ANY_NAME, "schedule"): ShortForm(_TEXT, "cron"),
    ("rules", "triggers", ANY_NAME, "schedule", "except"): ShortForm(_TEXT, ""),
    ("rules", "triggers", ANY_NAME, "freshness"): ShortForm(_TEXT, "max_age"),
    ("rules", "triggers", ANY_NAME, "after"): ShortForm(_TEXT, "rule"),
    ("rules", "when"): ShortForm(_TEXT, "any", wraps=True),
    ("rules", "unless"): ShortForm(_TEXT, ""),
    ("rules", "limits", "cooldown"): ShortForm(_TEXT, "period"),
    ("rules", "limits", "mute"): ShortForm(_TEXT, ""),
    ("rules", "submit"): ShortForm(_TEXT, "workflow_template"),
    ("rules", "submit", "retry"): ShortForm((int,), "limit"),
    ("rules", "submit", "retry", "phases"): ShortForm(_TEXT, ""),
    ("rules", "cost"): ShortForm(_TEXT, "gpu_hours"),
    ("rules", "feedback"): ShortForm(_TEXT, "promoted"),
    ("calendars", ANY_NAME): ShortForm((list,), "dates"),
    ("sources", ANY_NAME, "topics"): ShortForm(_TEXT, ""),
    ("sources", ANY_NAME, "bootstrap_servers"): ShortForm(_TEXT, ""),
    ("sources", ANY_NAME, "buckets"): ShortForm(_TEXT, ""),
}
"""By path, without the places of lists; `*` stands for any name."""


class _Place:
    """The short form at a path, and the places below it."""

    def __init__(self) -> None:
        self.form: ShortForm | None = None
        self.below: dict[str, _Place] = {}


def _tree() -> _Place:
    top = _Place()
    for path, form in SHORT_FORMS.items():
        place = top
        for step in path:
            place = place.below.setdefault(step, _Place())
        place.form = form
    return top


_SECTIONS = _tree().below


def lengthen(node: Node, section: str) -> Node:
    """Return an entry of a section (a rule, or a part of one, under ``rules``) with long forms only."""
    place = _SECTIONS.get(section)
    if place is None:
        return node
    return _long(node, place if section == "rules" else place.below[ANY_NAME])


def _long(node: Node, place: _Place) -> Node:
    form = place.form
    if form is not None and type(node.value) in form.kinds and not _is_placeholder(node):
        node = form.long(node)
    changed = {}
    for name, child in node.items().items() if place.below else ():
        below = place.below.get(name) or place.below.get(ANY_NAME)
        if below is not None and (long := _long(child, below)) is not child:
            changed[name] = long
    return node._replace(value={**node.items(), **changed}) if changed else node


def _is_placeholder(node: Node) -> bool:
    """Whether the value is a placeholder of a template, which may be filled with a map."""
    return isinstance(node.value, str) and node.value.startswith("${{") and node.value.endswith("}}")
