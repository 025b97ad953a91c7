"""Rule files in manifests of ConfigMaps, as stored in a repository before they are applied."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml as libyaml  # type: ignore[import-untyped]

from retrainer.config.files import rule_file
from retrainer.config.teams import LABEL

if TYPE_CHECKING:
    from collections.abc import Iterator

_Loader = libyaml.CSafeLoader if libyaml.__with_libyaml__ else libyaml.SafeLoader


class ConfigMapEntry(NamedTuple):
    """One rule file of a ConfigMap. If ``placed``, the lines of ``text`` have the same numbers as in the manifest.

    ``namespace`` is that of the manifest, None if it has none; ``line`` is where the ConfigMap begins, from 1.
    """

    key: str
    text: str
    placed: bool
    namespace: str | None
    line: int


def entries(text: str) -> list[ConfigMapEntry] | None:
    """Return the rule files of the ConfigMaps with the label; None if the text is no Kubernetes manifest."""
    try:
        documents = [node for node in libyaml.compose_all(text, Loader=_Loader) if node is not None]
    except libyaml.YAMLError:
        return None
    maps = [_fields(node) for node in documents]
    if not any({"apiVersion", "kind"} <= fields.keys() for fields in maps):
        return None
    lines = text.splitlines(keepends=True)
    return [entry for fields in maps if _holds_rules(fields) for entry in _entries(fields, lines)]


def _holds_rules(fields: dict[str, Any]) -> bool:
    labels = _fields(_fields(fields.get("metadata")).get("labels"))
    return _value(fields.get("kind")) == "ConfigMap" and LABEL in labels


def _entries(fields: dict[str, Any], lines: list[str]) -> Iterator[ConfigMapEntry]:
    namespace = _value(_fields(fields.get("metadata")).get("namespace"))
    begins = fields["kind"].start_mark.line + 1
    for key, node in _fields(fields.get("data")).items():
        if rule_file(key) and isinstance(node, libyaml.ScalarNode):
            placed = _in_place(node, lines)
            yield ConfigMapEntry(key, placed or str(node.value), placed is not None, namespace, begins)


def _in_place(node: Any, lines: list[str]) -> str | None:
    """The lines of a block scalar, after as many empty lines as precede it in the file; None if it is no block."""
    first, last = node.start_mark.line + 1, node.end_mark.line
    block = "".join(lines[first:last])
    if node.style != "|" or textwrap.dedent(block).strip() != str(node.value).strip():
        return None
    return str("\n" * first + block)


def _fields(node: Any) -> dict[str, Any]:
    if isinstance(node, dict):
        return node
    if not isinstance(node, libyaml.MappingNode):
        return {}
    return {str(key.value): value for key, value in node.value if isinstance(key, libyaml.ScalarNode)}


def _value(node: Any) -> str | None:
    return str(node.value) if isinstance(node, libyaml.ScalarNode) else None
