"""Change values in the text of a rule. All else stays as it is written, with its comments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from retrainer.config.short_forms import ANY_NAME, SHORT_FORMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = str | int | float


class NotPlaceableError(ValueError):
    """A value has no place in the text of a rule. The message is for users."""


def changed(text: str, values: Mapping[str, Value]) -> str:
    """Return the text of a rule with each value, by dotted path, in its place. Raise ValueError, for users."""
    for path, value in values.items():
        text = _set(text, path.split("."), _written(value))
    return text


def value_in(text: str, path: str) -> str:
    """Return the value as written at a path; empty if it is not written there."""
    node = _root(text)
    for step in path.split("."):
        node = _child(node, step)
        if node is None:
            return ""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _written(value: Value) -> str:
    """Return a value as YAML. A text that would be read as something else is quoted."""
    if not isinstance(value, str):
        return f"{value:.12g}" if isinstance(value, float) else str(value)
    plain = all(c.isalnum() or c in "-_." for c in value) and value[:1].isalnum()
    return value if plain and not _is_number(value) else json.dumps(value, ensure_ascii=False)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.lower() in ("true", "false", "null", "yes", "no", "on", "off")
    return True


def _root(text: str) -> Any:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"the rule is not YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(node, yaml.MappingNode):
        raise NotPlaceableError("a rule is a map: write `name: …` and the fields below it")
    return node


def _child(node: Any, step: str) -> Any:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for key, value in node.value if key.value == step), None)


def _set(text: str, steps: Sequence[str], written: str) -> str:
    node = _root(text)
    for place, step in enumerate(steps):
        if isinstance(node, yaml.ScalarNode):
            return _over_short_form(text, node, steps, place, written)
        if not isinstance(node, yaml.MappingNode):
            raise _not_placeable(steps, f"there is a list at {'.'.join(steps[:place])}")
        found = _child(node, step)
        if found is None:
            return _inserted(text, node, _nested(steps[place:], written))
        node = found
    if not isinstance(node, yaml.ScalarNode):
        raise _not_placeable(steps, "there is more than a value")
    return text[: node.start_mark.index] + written + text[node.end_mark.index :]


def _not_placeable(steps: Sequence[str], why: str) -> NotPlaceableError:
    return NotPlaceableError(f"{'.'.join(steps)}: {why}; name a single value, or change the text of the rule")


def _over_short_form(text: str, node: Any, steps: Sequence[str], place: int, written: str) -> str:
    """Replace a scalar that stands for a map: by the new value if that is its field, else by the map of both."""
    form = next((form for path, form in SHORT_FORMS.items() if _is(path, ("rules", *steps[:place]))), None)
    if form is None or not form.field:
        raise _not_placeable(steps, f"there is a value at {'.'.join(steps[:place])}")
    old = text[node.start_mark.index : node.end_mark.index]
    more = "" if steps[place] == form.field else f"{form.field}: {old}, "
    new = written if not more else f"{{{more}{_nested(steps[place:], written)}}}"
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _is(pattern: Sequence[str], path: Sequence[str]) -> bool:
    same = (one in (ANY_NAME, other) for one, other in zip(pattern, path, strict=False))
    return len(pattern) == len(path) and all(same)


def _nested(steps: Sequence[str], written: str) -> str:
    """`a.b` as `a: {b: VALUE}`."""
    inner = written
    for step in reversed(steps[1:]):
        inner = f"{{{step}: {inner}}}"
    return f"{steps[0]}: {inner}"


def _inserted(text: str, node: Any, entry: str) -> str:
    """Add an entry as the last one of a map."""
    if node.flow_style:
        end = node.end_mark.index - 1
        before = text[:end].rstrip()
        comma = "" if not node.value or before.endswith(",") else ", "
        return before + comma + entry + text[len(before) :].lstrip(" ")
    last = _end(node.value[-1][1])
    at = last if text[last - 1] == "\n" else text.find("\n", last) + 1 or len(text)
    start = "" if text[:at].endswith("\n") else "\n"
    return f"{text[:at]}{start}{' ' * node.start_mark.column}{entry}\n{text[at:]}"


def _end(node: Any) -> int:
    """The end of the last value in a node. That of a block as a whole includes the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)
