"""Check the text of a rule file, or of one rule, beside the files in force. Nothing is stored, and no file is read."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.config.assemble import Assembled, Beside, assemble_beside
from retrainer.config.document import parse
from retrainer.config.errors import Problem, ordered
from retrainer.config.expand import RuleTemplate, templates
from retrainer.config.rule_text import alone, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from retrainer.config.document import Document
    from retrainer.config.last_known_good import Loaded

LONGEST = 100_000
"""Maximum characters of a text."""
MOST_VALUES = 50_000
"""Maximum number of values in all its rules together, with what templates put in."""
_TEMPLATES = re.compile(r"^templates:.*(?:\n(?:[ #].*)?)*", re.MULTILINE)


class Draft(NamedTuple):
    """``file``: the file that the text stands for. ``replaces`` says what of the configuration in force it replaces."""

    file: str
    text: str
    replaces: Callable[[str, str], bool]


def draft_of_rule(loaded: Loaded, rule: str, text: str) -> Draft:
    """Return the text in place of a rule's lines in its file, without the other rules of the file.

    For a rule without lines of its own, it is the text of the whole file. Raise LookupError if it is not in force.
    """
    try:
        file = place_of(loaded.configuration, rule).file
    except KeyError:
        raise LookupError(f"there is no rule {rule!r}") from None

    def replaces(name: str, of_file: str) -> bool:
        return name == f"rules.{rule}" or (of_file == file and not name.startswith("rules."))

    whole = alone(loaded.configuration, loaded.files.get(file, ""), rule, text)
    return Draft(file, whole, replaces) if whole is not None else draft_of_file(file, text)


def draft_of_file(file: str, text: str) -> Draft:
    """Return the text of a whole file, in force or new."""
    return Draft(file, text, lambda _, of_file: of_file == file)


def check_draft(
    loaded: Loaded, draft: Draft, namespaces: tuple[str, ...] | None, sees: Callable[[str, str], bool] | None = None
) -> Assembled:
    """Check a draft. The configuration has what it defines; the problems are sorted, and limited in number.

    ``sees`` says what the draft may refer to, by its name in `positions` and its file; all if it is None.
    """

    def beside(name: str, file: str) -> bool:
        return not draft.replaces(name, file) and (sees is None or sees(name, file))

    document = parse(draft.file, draft.text)
    if sees is not None:
        document = _without_hidden(document, loaded.configuration.positions, sees)
    found = assemble_beside(document, namespaces, _beside(loaded, draft, beside), MOST_VALUES)
    problems = ordered(problem for problem in found.problems if problem.kind != "environment")
    return Assembled(found.configuration, list(problems))


def too_long(text: str) -> Problem | None:
    """Return the problem of a text that is not checked."""
    if len(text) <= LONGEST:
        return None
    return Problem("", 1, 1, "", f"more than {LONGEST} characters", "check it with `retrainer validate`")


def _without_hidden(document: Document, in_force: Collection[str], sees: Callable[[str, str], bool]) -> Document:
    """Return the document without the sources of the same file that the caller does not see: messages name sources."""
    sources = document.section("sources")
    if document.root is None or sources is None or not sources.items():
        return document
    hidden = {name for name in in_force if name.startswith("sources.") and not sees(name, document.file)}
    left = {name: node for name, node in sources.items().items() if f"sources.{name}" not in hidden}
    root = {**document.root.items(), "sources": sources._replace(value=left)}
    return document._replace(root=document.root._replace(value=root))


def _beside(loaded: Loaded, draft: Draft, wanted: Callable[[str, str], bool]) -> Beside:
    whole = loaded.configuration
    positions = {name: place for name, place in whole.positions.items() if wanted(name, place.rsplit(":", 2)[0])}
    parts: dict[str, Any] = {
        section: {n: value for n, value in getattr(whole, section).items() if f"{section}.{n}" in positions}
        for section in ("sources", "calendars", "pools", "budgets")
    }
    rules = tuple(rule for rule in whole.rules if f"rules.{rule.name}" in positions)
    configuration = replace(whole, rules=rules, positions=positions, **parts)
    return Beside(configuration, _templates(loaded.files, draft.file, positions))


def _templates(files: Mapping[str, str], but: str, known: Collection[str]) -> dict[str, RuleTemplate | None]:
    """Return the templates of other files, by name. Only these sections are read, as files can be long."""
    found: dict[str, RuleTemplate | None] = {}
    for file, text in files.items():
        section = _TEMPLATES.search(text) if file != but else None
        if section is not None:
            found.update(templates(parse(file, section[0]).section("templates"))[0])
    return {name: template for name, template in found.items() if f"templates.{name}" in known}
