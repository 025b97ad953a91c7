"""A YAML document as values with their positions."""

from __future__ import annotations

from enum import Enum
from sys import intern
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from retrainer.config.errors import Problem, cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.config.errors import Kind


class Refused(Enum):
    """Marks a value that was written but rejected, as opposed to a missing one."""

    VALUE = 0


REFUSED: Final = Refused.VALUE
Scalar = str | int | float | bool | None
Step = str | int
Path = tuple[Step, ...]


class Text(NamedTuple):
    """A file and its lines."""

    file: str
    lines: tuple[str, ...]


class Mark(NamedTuple):
    """A position in a file; line and column count from 1."""

    text: Text
    line: int
    column: int

    @property
    def source(self) -> str:
        return self.text.lines[self.line - 1] if self.line <= len(self.text.lines) else ""

    def problem(self, path: str, message: str, hint: str = "", kind: Kind = "content") -> Problem:
        return Problem(self.text.file, self.line, self.column, cut(path), cut(message), cut(hint), self.source, kind)


class Node(NamedTuple):
    """A scalar, list or map. ``keys`` has the positions of a map's keys.

    ``written`` is the text of an unquoted scalar that is a number or a boolean.
    """

    value: Scalar | list[Node] | dict[str, Node] | Refused
    mark: Mark
    keys: Mapping[str, Mark] = {}
    written: str = ""

    def get(self, key: str) -> Node | None:
        return self.value.get(key) if isinstance(self.value, dict) else None

    def items(self) -> Mapping[str, Node]:
        """The entries of a map; empty for other values."""
        return self.value if isinstance(self.value, dict) else {}

    def elements(self) -> Sequence[Node]:
        """The elements of a list; empty for other values."""
        return self.value if isinstance(self.value, list) else ()

    def children(self) -> Iterator[tuple[Step, Node]]:
        """Yield what is in a map or list, each with its key or number."""
        yield from self.items().items()
        yield from enumerate(self.elements())

    def key(self, name: str) -> Mark:
        return self.keys.get(name, self.mark)


def plain(node: Node) -> Any:
    """The value without positions, as in JSON. Entries that are null or were rejected are left out."""
    value = node.value
    if isinstance(value, str):
        return apart(value)
    if isinstance(value, dict):
        return {apart(key): plain(child) for key, child in value.items() if child.value not in (None, REFUSED)}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def apart(text: str) -> str:
    """Return an equal text at another place in memory.

    Texts that outlive the file must not be allocated among its nodes: Python frees memory in pieces of one mebibyte,
    and a single text keeps all of one.
    """
    return intern((text + "_")[:-1]) if len(text) > 1 else text


def refused(node: Node, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of rejected values."""
    if node.value is REFUSED:
        yield path
    for step, child in node.children():
        yield from refused(child, (*path, step))


def descend(node: Node, path: Sequence[Step]) -> tuple[Node, list[Node], Path]:
    """Follow a path as far as it exists; steps that do not exist are skipped.

    Return the last node, the nodes above it, and the steps that exist.
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
    """Position of a character of a scalar; None if the text is folded or escaped, as it cannot be determined then."""
    mark, value = node.mark, str(node.value)
    written = mark.source[mark.column - 1 :]
    quoted = written[:1] in ("'", '"')
    if not written[quoted:].startswith(value) or (quoted and written[1 + len(value) : 2 + len(value)] != written[0]):
        return None
    return mark._replace(column=mark.column + quoted + offset)


def spell(path: Sequence[Step]) -> str:
    """Format a path as `rules[2].triggers.nightly`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text
