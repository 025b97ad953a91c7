"""Select the text to use for each file if some files are invalid or inconsistent with each other.

A file falls back from its current text to its last good text, and then is left out. Files fall back one step at a time,
and only while they cause a problem, until the texts in use have no problems.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.assemble import assemble
from retrainer.config.check_compile import internal
from retrainer.config.document import Document, beginning, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from retrainer.config.assemble import Assembled
    from retrainer.config.configuration import Configuration
    from retrainer.config.errors import Problem


MOST_ROUNDS = 50
"""Maximum number of rounds in which the causing files fall back."""
MOST_TRIED = 32
"""Maximum number of files that are tried one by one to find the one that causes problems in others."""


class Candidates(NamedTuple):
    """``now`` has the texts of the readable files, ``lost`` the given files and folders that cannot be read."""

    now: Mapping[str, str]
    last_good: Mapping[str, str]
    lost: frozenset[str]


class Loaded(NamedTuple):
    """``configuration`` is valid and complete for ``files``, the texts in use by path, to be stored as last good ones.

    ``problems`` are those of the current files; if there are none, the current files are in use.
    """

    configuration: Configuration
    problems: tuple[Problem, ...]
    files: Mapping[str, str]


def settle(candidates: Candidates, namespaces: tuple[str, ...] | None) -> Loaded:
    """Select the texts to use, and report all problems of the current texts."""
    choice = _Choice(candidates, namespaces)
    first = choice.assembled
    unread = choice.step_back(choice.unread())
    problems = [problem for problem in first.problems if not (unread and problem.kind == "reference")]
    for rounds in count():
        if not (at_fault := choice.at_fault()):
            break
        choice.step_back(at_fault if rounds < MOST_ROUNDS else choice.changed_or(at_fault))
    problems += choice.unsaid(problems)
    return Loaded(choice.assembled.configuration, tuple(problems), choice.texts)


class _Choice:
    """The texts in use, and the files that have fallen back."""

    def __init__(self, candidates: Candidates, namespaces: tuple[str, ...] | None) -> None:
        self._now, self._good, lost = candidates
        self._namespaces = namespaces
        restored = {file: text for file, text in self._good.items() if _under(file, lost)}
        self.texts: dict[str, str] = {**restored, **self._now}
        self._removed = self._good.keys() - self.texts.keys()
        self._stepped: set[str] = set()
        self._parsed: dict[tuple[str, str], Document] = {}
        self.assembled = self._assemble(self.texts)

    def unread(self) -> set[str]:
        """Files whose definitions are not fully known."""
        return {file for file, text in self.texts.items() if not self._document(file, text).whole}

    def at_fault(self) -> set[str]:
        """The files that must fall back next; empty if the texts in use are valid."""
        bad = self._bad(self.assembled)
        changed = {file for file in self.texts if self._changed(file)} | self._removed
        if bad & changed or not bad:
            return bad & changed
        return self._culprits(bad, changed) or bad

    def changed_or(self, at_fault: set[str]) -> set[str]:
        """All changed files together, once single steps take too long; after that all files."""
        return {file for file in self.texts if self._changed(file)} | self._removed or set(self.texts) or at_fault

    def step_back(self, files: Iterable[str]) -> set[str]:
        """Change each file to its last good text or, if it has that already, leave it out."""
        stepped = set(files)
        for file in stepped:
            self.texts = self._without(file)
            self._removed.discard(file)
            self._stepped.add(file)
        if stepped:
            self.assembled = self._assemble(self.texts)
        return stepped

    def unsaid(self, said: Iterable[Problem]) -> Iterator[Problem]:
        """Report files that fell back because of others: those removed what it needs, or need what it removed."""
        for file in sorted(self._stepped - {problem.file for problem in said}):
            what = "its last good text is used" if file in self.texts else "it is ignored"
            yield beginning(file).problem(
                "",
                f"{what}: it does not fit together with the other files as they are now",
                "correct the errors of the other files first",
                "reference",
            )

    def _without(self, file: str) -> dict[str, str]:
        others = {name: text for name, text in self.texts.items() if name != file}
        return {**others, file: self._good[file]} if file in self._good and self._changed(file) else others

    def _culprits(self, bad: set[str], changed: set[str]) -> set[str]:
        """If unchanged files became invalid, a changed one is the cause: the one whose fallback solves the most."""
        if len(changed) > MOST_TRIED:
            return changed
        mended = {file: len(self._bad(self._assemble(self._without(file)))) for file in sorted(changed)}
        best = min(mended, key=lambda file: mended[file], default=None)
        if best is not None and mended[best] < len(bad):
            return {best}
        return changed

    def _changed(self, file: str) -> bool:
        return self.texts.get(file) != self._good.get(file)

    def _bad(self, assembled: Assembled) -> set[str]:
        """Files with problems. Something missing on this machine (a secret) does not count for an unchanged file."""
        return {
            p.file for p in assembled.problems if p.kind != "environment" or self._changed(p.file)
        } & self.texts.keys()

    def _assemble(self, texts: Mapping[str, str]) -> Assembled:
        """Assemble with unchanged files first, so that of two files that clash the changed one has the problem."""
        order = sorted(texts, key=lambda file: (texts[file] != self._good.get(file), file))
        return assemble([self._document(file, texts[file]) for file in order], self._namespaces)

    def _document(self, file: str, text: str) -> Document:
        """Parse each text once; each fallback needs the same files again."""
        if (file, text) not in self._parsed:
            self._parsed[file, text] = _parse(file, text)
        return self._parsed[file, text]


def _parse(file: str, text: str) -> Document:
    """Parse. If that raises an error, it is a bug here, and is reported for this file only."""
    try:
        return parse(file, text)
    except Exception as error:  # noqa: BLE001 - the other files must still be loaded
        finding = internal(error)
        return Document(file, None, (beginning(file).problem("", finding.message, finding.hint),))


def _under(file: str, lost: Iterable[str]) -> bool:
    return any(file == path or file.startswith(path.rstrip("/") + "/") for path in lost)
