"""Load settings and rules from files. A broken file never replaces a good one, and never blocks other files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from retrainer.config.configuration import Configuration
from retrainer.config.document import parse
from retrainer.config.errors import Problem, ordered
from retrainer.config.files import NO_SUCH_FILE, find, missing, read_all, read_text
from retrainer.config.last_known_good import Candidates, Loaded, settle
from retrainer.config.load_settings import SETTINGS_NAMES, load_settings, read_settings, settings_file
from retrainer.config.settings import ArgoEngine, Settings
from retrainer.config.teams import NO_TEAMS, TeamFiles
from retrainer.config.violation import Violation, locate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

__all__ = [
    "Configuration",
    "Loaded",
    "is_settings",
    "load_files",
    "load_rules",
    "load_settings",
    "load_texts",
    "namespaces_of",
    "validate",
]


def load_rules(
    settings: Settings, *, last_good: Mapping[str, str] | None = None, teams: TeamFiles = NO_TEAMS
) -> Loaded:
    """Load all rule files, including those of teams. Raise nothing.

    For a file that is broken, or that does not fit together with the others, its text in ``last_good`` is used; without
    one it is left out.
    """
    return _load(settings.rules, last_good or {}, namespaces_of(settings), teams)


def validate(path: str, *, ignore_environment: bool = False) -> tuple[Configuration | None, tuple[Problem, ...]]:
    """Check a settings file with its rules, a rule file, or a folder. The configuration is None if there are problems.

    A folder with a `retrainer.yaml` is checked as that file; any other folder holds rule files. With
    ``ignore_environment``, things missing on this machine are no problems, as the rules will run elsewhere.
    """
    where = settings_file(path)
    rules, namespaces = [str(where.absolute())], None
    wrong: list[Problem] = []
    if is_settings(where):
        settings, wrong = read_settings(str(where))
        if settings is None:
            return None, ordered(wrong)
        rules, namespaces = settings.rules, namespaces_of(settings)
    loaded = _load(rules, _texts(rules) if ignore_environment else {}, namespaces)
    problems = ordered((*wrong, *(_where_named(one, where, rules) for one in loaded.problems)))
    if ignore_environment:
        problems = tuple(problem for problem in problems if problem.kind != "environment")
    return (None if problems else loaded.configuration), problems


def _where_named(problem: Problem, settings: Path, rules: Sequence[str]) -> Problem:
    """The problem of a file or folder that does not exist, at the line of the settings that names it."""
    if problem.message != NO_SUCH_FILE or problem.file not in rules or problem.file == str(settings.absolute()):
        return problem
    text = read_text(str(settings))
    root = parse(str(settings.absolute()), text).root if isinstance(text, str) else None
    relative = "create it, or correct the path, which is relative to the folder of this file"
    what = f"there is no file or folder `{os.path.relpath(problem.file, settings.absolute().parent)}`"
    return locate(Violation(("rules", rules.index(problem.file)), what, relative), root, ()) if root else problem


def namespaces_of(settings: Settings) -> tuple[str, ...] | None:
    """Return the namespaces that rules may run in; None if all are allowed."""
    return tuple(settings.engine.namespaces) if isinstance(settings.engine, ArgoEngine) else None


def load_files(paths: Iterable[str]) -> tuple[Configuration, tuple[Problem, ...]]:
    """Check rule files and folders that will not run on this machine: what is missing only here is no problem."""
    asked = tuple(paths)
    loaded = _load(asked, _texts(asked), None)
    return loaded.configuration, tuple(problem for problem in loaded.problems if problem.kind != "environment")


def _texts(paths: Iterable[str]) -> dict[str, str]:
    """Texts by file. As last good texts they keep files in use whose only problem is something missing here."""
    return read_all(find(paths).files)[0]


def load_texts(texts: Mapping[str, str]) -> tuple[Configuration, tuple[Problem, ...]]:
    """Check texts of rule files, by path, in the same way as `load_files`."""
    settled = settle(Candidates(texts, texts, frozenset()), None)
    return settled.configuration, tuple(p for p in ordered(settled.problems) if p.kind != "environment")


def is_settings(path: Path) -> bool:
    """Whether a file holds the daemon's settings; any other file holds rules."""
    if path.name in SETTINGS_NAMES:
        return True
    text = read_text(str(path)) if path.is_file() else ""
    root = parse(str(path), text).root if isinstance(text, str) and text else None
    return root is not None and root.get("engine") is not None


def _load(
    paths: Iterable[str],
    last_good: Mapping[str, str],
    namespaces: tuple[str, ...] | None,
    teams: TeamFiles = NO_TEAMS,
) -> Loaded:
    found = find(paths)
    texts, unreadable = read_all(found.files)
    lost = [*map(missing, found.missing), *unreadable, *teams.problems]
    candidates = Candidates({**texts, **teams.texts}, last_good, frozenset(problem.file for problem in lost))
    loaded = settle(candidates, namespaces)
    return loaded._replace(problems=ordered((*lost, *loaded.problems)))
