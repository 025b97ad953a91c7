"""One rule file: its text, parsed, with the checks of its sections."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from retrainer.config.errors import MOST_TOLD, Problem, did_you_mean
from retrainer.config.files import read_text
from retrainer.config.teams import foreign_sources
from retrainer.config.tree import REFUSED, Mark, Node, Text, spell
from retrainer.config.validation import Shaped
from retrainer.config.yaml import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.validation import Shape


T = TypeVar("T")
SECTIONS = ("version", "sources", "calendars", "pools", "budgets", "defaults", "templates", "rules")


class Document(NamedTuple):
    """``root`` is None if the text could not be read as a map of sections."""

    file: str
    root: Node | None
    problems: tuple[Problem, ...]

    @property
    def whole(self) -> bool:
        """Whether everything that the file defines is known."""
        if self.root is None:
            return False
        return all(name in SECTIONS and node.value is not REFUSED for name, node in self.root.items().items())

    def section(self, name: str) -> Node | None:
        return self.root.get(name) if self.root else None


def parse(file: str, text: str) -> Document:
    """Parse the text of a rule file."""
    root, problems = read(text, file)
    if root is None:
        return Document(file, None, tuple(problems))
    if not isinstance(root.value, dict):
        wrong = root.mark.problem("", "expected a map of sections", "begin with `version: 1`, then `rules:`")
        return Document(file, None, (*problems, wrong))
    if _foreign(root):
        wrong = beginning(file).problem(
            "", "this is not a rule file: it has none of its fields", "begin with `version: 1`, or delete the file"
        )
        return Document(file, None, (wrong,))
    if root.get("apiVersion") and root.get("kind"):
        wrong = root.mark.problem("", "this is a Kubernetes manifest, not a rule file", "move it to a separate folder")
        return Document(file, None, (*problems, wrong))
    return Document(file, root, (*problems, *_sections(root)))


def _foreign(root: Node) -> bool:
    """Whether the file does not resemble a rule file at all. Its content may be confidential, so none of it is shown.

    A link can point to any file of the machine.
    """
    if not root.items() or any(name in SECTIONS for name in root.items()) or root.get("kind"):
        return False
    return not any(did_you_mean(name, SECTIONS).startswith("did") for name in islice(root.items(), MOST_TOLD))


def beginning(file: str) -> Mark:
    """The position for problems of a file as a whole."""
    return Mark(Text(file, ()), 1, 1)


def _sections(root: Node) -> Iterator[Problem]:
    unknown = (name for name in root.items() if name not in SECTIONS)
    for name in islice(unknown, MOST_TOLD):
        yield root.key(name).problem(name, f"unknown field `{name}`", did_you_mean(name, SECTIONS))
    yield from check_version(root)
    yield from foreign_sources(root, root.mark.text.file)
    for name in ("sources", "calendars", "pools", "budgets", "defaults", "templates"):
        node = root.get(name)
        if node is not None and node.value is not REFUSED and not isinstance(node.value, dict | None):
            yield node.mark.problem(name, "expected a map", f"write names and values beneath `{name}:`")
    yield from _rules(root.get("rules"))


def read_model(file: str, shape: Shape[T], begin: str) -> tuple[Node | None, Shaped[T]]:
    """Read a file that holds one model with a `version`. Return its root, its value if it can be used, and problems.

    ``begin`` is the hint for a file that is not a map.
    """
    text = read_text(file)
    if isinstance(text, Problem):
        return None, Shaped(None, [text])
    root, problems = read(text, file)
    if root is None or not isinstance(root.value, dict):
        wrong = [root.mark.problem("", "expected a map", begin)] if root is not None else []
        return None, Shaped(None, problems + wrong)
    shaped = shape.check(root, ())
    problems += [p for p in shaped.problems if p.path != "version"] + list(check_version(root))
    return root, shaped._replace(problems=problems)


def check_version(root: Node) -> Iterator[Problem]:
    """Check that the format's version is given and supported."""
    version = root.get("version")
    if version is None:
        yield root.mark.problem("version", "`version` is missing", "begin with `version: 1`")
    elif version.value is not REFUSED and (version.value != 1 or isinstance(version.value, bool)):
        yield version.mark.problem("version", "this release does not support that version", "write `version: 1`")


def _rules(node: Node | None) -> Iterator[Problem]:
    if node is None or node.value in (None, REFUSED):
        return
    if not isinstance(node.value, list):
        yield node.mark.problem("rules", "expected a list", "begin each rule with `- name: …`")
    for i, rule in enumerate(node.elements()):
        if not isinstance(rule.value, dict):
            yield rule.mark.problem(spell(("rules", i)), "a rule is a map", "begin it with `- name: …`")
