"""Generate the reference of rule files and settings, in Markdown, from the models.

`make reference` writes it to the end of the pages of docs/reference/rules and of docs/reference/settings.md.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.config.models import DURATION_PATTERN, SIZE_PATTERN, written_duration, written_size
from retrainer.config.schema import rules_schema, settings_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Link = Callable[[str], str | None]

_LEFT_OUT = {"PartialRule", "TemplatedRule", "Template", "FromFile", "FromEnv"}
"""Variants of a rule that repeat its fields, and secrets, which are described in words."""
_WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}


@dataclass(frozen=True, slots=True)
class _Section:
    """``path`` is the first position of a model in a file."""

    name: str
    path: tuple[str, ...]


def reference() -> str:
    """Return one document with a section for each map of a rules file, with a table of its fields."""
    return "\n".join(_pages(rules_schema(), lambda _path: "").values())


def rules_pages() -> dict[str, str]:
    """Return the same tables by page; the key is the path of the page below docs/reference/rules."""
    return _pages(rules_schema(), _page)


def settings_page() -> str:
    """Return the tables of the daemon's settings."""
    return "\n".join(_pages(settings_schema(), lambda _path: "").values())


def _page(path: tuple[str, ...]) -> str:
    """The page for a map at ``path`` in a file: one page for each kind of source and trigger."""
    if path[:1] != ("rules",):
        kind = path[0].removeprefix("sources: ") if path else ""
        return f"sources/{kind}.md" if path and kind != path[0] else "file.md"
    if path[1:2] == ("triggers",):
        return f"triggers/{path[2] if len(path) > 2 else 'README'}.md"
    return f"{path[1] if len(path) > 1 else 'rule'}.md"


def _pages(schema: dict[str, Any], page_of: Callable[[tuple[str, ...]], str]) -> dict[str, str]:
    definitions = schema["$defs"]
    sections = list(_sections(schema, definitions))
    titles = {s.name: title for s, title in zip(sections, _titles(sections), strict=True)}
    homes = {s.name: page_of(s.path) for s in sections}

    def links(page: str) -> Link:
        return lambda name: _link(titles[name], homes[name], page) if name in titles else None

    pages = {page_of(()): [_table("A file", schema, links(page_of(())))]}
    for section in sections:
        page = homes[section.name]
        table = _table(titles[section.name], definitions[section.name], links(page))
        pages.setdefault(page, []).append(table)
    return {page: "\n".join(tables) for page, tables in pages.items()}


def _link(title: str, home: str, page: str) -> str:
    file = "" if home == page else posixpath.relpath(home, posixpath.dirname(page) or ".")
    return f"[{title}]({file}#{_anchor(title)})"


def _sections(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[_Section]:
    """Every model, in the order of the reference: depth first."""
    seen: set[str] = set()

    def visit(node: dict[str, Any], path: tuple[str, ...]) -> Iterator[_Section]:
        for field, inner in node.get("properties", {}).items():
            for name in _referred(inner):
                if name in seen or name in _LEFT_OUT:
                    continue
                seen.add(name)
                kind = definitions[name].get("properties", {}).get("type", {}).get("const")
                here = (*path, f"{field}: {kind}" if kind else field)
                yield _Section(name, here)
                yield from visit(definitions[name], here)

    return visit(schema, ())


def _referred(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for one in node:
            yield from _referred(one)
    elif isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rsplit("/", 1)[1]
        for name, one in node.items():
            if name not in ("properties", "discriminator", "if", "then"):
                yield from _referred(one)


def _titles(sections: list[_Section]) -> list[str]:
    """The name of the field, with the name of its parent if several maps have a field of that name."""
    last = [section.path[-1] for section in sections]
    return [s.path[-1] if last.count(s.path[-1]) == 1 else ".".join(s.path[-2:]) for s in sections]


def _table(title: str, node: dict[str, Any], link: Link) -> str:
    needed = node.get("required", [])
    told = node.get("description", "")
    rows = [_row(name, field, link, needed=name in needed) for name, field in node["properties"].items()]
    head = ["| field | value | if not given | meaning |", "| --- | --- | --- | --- |"]
    intro = [_in_line(told), ""] if told and title != "A file" else []
    return "\n".join([f"### {title}", *intro, *head, *rows, ""])


def _row(name: str, field: dict[str, Any], link: Link, *, needed: bool) -> str:
    default = "**needed**" if needed else _default(field)
    return f"| `{name}` | {_value(field, link)} | {default} | {_in_line(field.get('description', ''))} |"


def _in_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _value(field: dict[str, Any], link: Link) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        if name in ("FromEnv", "FromFile"):
            return f"`{{{'from_env' if name == 'FromEnv' else 'from_file'}: …}}`"
        return link(name) or "map"
    if "then" in field:
        return link("Rule") or "map"
    branches = field.get("anyOf") or field.get("oneOf")
    if branches:
        return " or ".join(dict.fromkeys(_value(b, link) for b in branches if b.get("type") != "null"))
    if "const" in field:
        return f"`{_plain(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{_plain(value)}`" for value in field["enum"])
    return _of_type(field, link)


def _of_type(field: dict[str, Any], link: Link) -> str:
    kind = field.get("type")
    if kind == "array":
        return f"list of {_value(field['items'], link)}"
    if kind == "object":
        inner = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), None)
        return f"map of {_value(inner, link)}" if isinstance(inner, dict) and inner else "map"
    pattern = field.get("pattern")
    known = {DURATION_PATTERN: "duration", SIZE_PATTERN: "size"}
    return known.get(str(pattern), _WORDS.get(str(kind), "any")) + _bounds(field, str(pattern))


def _bounds(field: dict[str, Any], pattern: str) -> str:
    written = _UNITS_OF.get(pattern, "{:.15g}".format)
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    bounds = ", ".join(f"{word} {written(field[name])}" for name, word in words.items() if field.get(name) is not None)
    return f" ({bounds})" if bounds else ""


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None or value in ("", [], {}) or isinstance(value, dict):
        return ""
    return f"`{_plain(value)}`"


_UNITS_OF: dict[str, Callable[[Any], str]] = {DURATION_PATTERN: written_duration, SIZE_PATTERN: written_size}
"""How the bounds of a text with this pattern are written."""


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _anchor(title: str) -> str:
    """The anchor that GitHub generates for a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
