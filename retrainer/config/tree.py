"""A YAML document as values that know where they stand."""

from __future__ import annotations

from enum import Enum
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retrainer.config.errors import Problem, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.config.errors import Kind


class Refused(Enum):
    """Something is written there, and was refused: it is not as if nothing were."""

    VALUE = 0


REFUSED: Final = Refused.VALUE
Scalar = str | int | float | bool | None
Step = str | int
Path = tuple[Step, ...]


class Text(NamedTuple):
    """A file as it was read."""

    file: str
    lines: tuple[str, ...]


class Mark(NamedTuple):
    """A place in a file; line and column count from 1."""

    text: Text
    line: int
    column: int

    @property
    def source(self) -> str:
        return self.text.lines[self.line - 1] if self.line <= len(self.text.lines) else ""

    def problem(self, path: str, message: str, hint: str = "", kind: Kind = "content") -> Problem:
        return Problem(self.text.file, self.line, self.column, cut(path), cut(message), cut(hint), self.source, kind)


class Node(NamedTuple):
    """A scalar, list or map; of a map, ``keys`` holds the places of the keys.

    ``written`` is the text of an unquoted scalar that means a number or a boolean.
    """

    value: Scalar | list[Node] | dict[str, Node] | Refused
    mark: Mark
    keys: Mapping[str, Mark] = {}
    written: str = ""

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if isinstance(self.value, dict) else None

    def items(self) -> Mapping[str, Node]:
        """Its entries; none if it is no map."""
        return self.value if isinstance(self.value, dict) else {}

    def elements(self) -> Sequence[Node]:
        """Its elements; none if it is no list."""
        return self.value if isinstance(self.value, list) else ()

    def key(self, name: str) -> Mark:
        return self.keys.get(name, self.mark)


def plain(node: Node) -> Any:
    """The value alone, as JSON would hold it. An entry that is null, or was refused, counts as not given."""
    value = node.value
    if isinstance(value, str):
        return apart(value)
    if isinstance(value, dict):
        return {apart(key): plain(child) for key, child in value.items() if child.value not in (None, REFUSED)}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def apart(text: str) -> str:
    """Return an equal text that lies elsewhere in memory.

    What stays of a file must not lie among its nodes: Python gives memory back in pieces of a mebibyte, and a single
    text keeps all of one.
    """
    return intern((text + "_")[:-1]) if len(text) > 1 else text


def refused(node: Node, path: Path = ()) -> Iterator[Path]:
    """Yield the places where something was refused."""
    if node.value is REFUSED:
        yield path
    for key, child in node.items().items():
        yield from refused(child, (*path, key))
    for i, child in enumerate(node.elements()):
        yield from refused(child, (*path, i))


def descend(node: Node, path: Sequence[Step]) -> tuple[Node, list[Node], Path]:
    """Follow a path as far as it goes, passing over steps that are not there.

    Return the node it ends at, the nodes passed on the way, and the steps that were there.
    """
    passed: list[Node] = []
    taken: list[Step] = []
    for step in path:
        child: Node | None = None
        if isinstance(node.value, dict) and isinstance(step, str):
            child = node.value.get(step)
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            child = node.value[step]
        if child is not None:
            passed.append(node)
            taken.append(step)
            node = child
    return node, passed, tuple(taken)


def within(node: Node, offset: int) -> Mark | None:
    """Place of a character of a scalar; None if the text is folded or escaped, so that nobody can tell."""
    mark, value = node.mark, str(node.value)
    written = mark.source[mark.column - 1 :]
    quoted = written[:1] in ("'", '"')
    if not written[quoted:].startswith(value) or (quoted and written[1 + len(value) : 2 + len(value)] != written[0]):
        return None
    return mark._replace(column=mark.column + quoted + offset)


def spell(path: Sequence[Step]) -> str:
    """Write a path as `rules[2].triggers.nightly`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
