"""The changed rule as text for its file: in place of the rule, or beside it as a shadow rule, with the difference."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.config.load import load_texts
from retrainer.simulate.whatif.edit import changed, value_in
from retrainer.simulate.whatif.rule_items import as_item, body, items, without_others

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from retrainer.config.configuration import Configuration
    from retrainer.simulate.whatif.edit import Value
    from retrainer.simulate.whatif.rule_items import RuleItem

LONGEST_ABOUT = 400
CONTEXT = 3
"""Lines around a difference."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """``yaml`` is the rule, ``file`` its file, ``diff`` the unified difference of the file."""

    file: str
    yaml: str
    diff: str
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleText:
    """A rule in the texts of all rule files. ``wanted`` are the rules that are read with it, among them itself.

    Differences have ``context`` lines around them, which may be of other rules.
    """

    files: Mapping[str, str]
    file: str
    name: str
    wanted: Collection[str]
    lines: list[str] = field(repr=False)
    item: RuleItem
    context: int = CONTEXT

    @classmethod
    def find(cls, files: Mapping[str, str], name: str, wanted: Collection[str]) -> RuleText:
        """Raise ValueError if the rule is not an item with lines of its own."""
        for file, text in files.items():
            if name in text:
                lines = text.splitlines(keepends=True)
                for item in items(lines):
                    if item.name == name:
                        return cls(files, file, name, wanted, lines, item)
        what = f"rule {name}: it is not written as an item with lines of its own, `- name: {name}`"
        raise ValueError(f"{what}; simulate it with `retrainer simulate`")

    @property
    def text(self) -> str:
        return body(self.lines, self.item)

    def replaced(self, text: str) -> str:
        """Return the text of the file with another text of the rule."""
        at = self.item
        return "".join([*self.lines[: at.start], *as_item(text, at.column), *self.lines[at.end :]])

    def joined_by(self, text: str) -> str:
        """Return the text of the file with one more rule after this one."""
        at = self.item
        before = self.lines[: at.end]
        if not before[-1].endswith("\n"):
            before[-1] += "\n"
        return "".join([*before, *as_item(text, at.column), *self.lines[at.end :]])

    def load(self, whole: str, *more: str) -> Configuration:
        """Read the wanted rules, and those named ``more``, with ``whole`` as the file's text. Raise ValueError."""
        wanted = {*self.wanted, *more}
        files = {**self.files, self.file: whole}
        configuration, problems = load_texts({file: without_others(text, wanted) for file, text in files.items()})
        if problems:  # a file that is written in another way may lack something now
            configuration, problems = load_texts(files)
        if problems:
            raise ValueError("\n\n".join(str(problem) for problem in problems[:5]))
        return configuration

    def proposed(self, text: str) -> Proposal:
        return self._proposal(text, self.replaced(text))

    def shadow(self, text: str, name: str, changes: Mapping[str, Value]) -> Proposal:
        """Return the shadow rule with this text: it decides beside its origin, and submits nothing."""
        about = _about(self.name, self.text, changes)
        made = changed(text, {"name": name, "mode": "shadow", "description": about})
        whole = self.joined_by(made)
        try:
            self.load(whole, name)
        except ValueError as error:
            return self._proposal(made, whole, str(error))
        return self._proposal(made, whole)

    def _proposal(self, text: str, whole: str, *problems: str) -> Proposal:
        name = self.file.lstrip("/")
        new = whole.splitlines(keepends=True)
        lines = difflib.unified_diff(self.lines, new, f"a/{name}", f"b/{name}", n=self.context)
        diff = "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
        return Proposal(self.file, "".join(as_item(text, 2)), diff, problems)


def _about(origin: str, text: str, changes: Mapping[str, Value]) -> str:
    changed = []
    for path, value in changes.items():
        before = value_in(text, path)
        changed.append(f"{path} {value}" + (f" instead of {before}" if before else ""))
    what = f": {', '.join(changed)}" if changed else ""
    return f"What if of {origin}{what}"[:LONGEST_ABOUT]
