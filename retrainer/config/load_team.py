"""Check a team's rule files before they are applied to the cluster, as the daemon would read them from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.config_map import entries
from retrainer.config.document import beginning
from retrainer.config.errors import Problem, did_you_mean, ordered
from retrainer.config.files import find, read_all
from retrainer.config.last_known_good import Candidates, settle
from retrainer.config.load import is_settings, namespaces_of
from retrainer.config.load_settings import read_settings, settings_file
from retrainer.config.teams import LABEL, team, team_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from retrainer.config.configuration import Configuration


class _Platform(NamedTuple):
    """Texts by file. ``namespaces`` are those that rules may run in; None if unknown."""

    texts: Mapping[str, str] = {}
    namespaces: tuple[str, ...] | None = None
    problems: tuple[Problem, ...] = ()


def validate_team(
    path: str, namespace: str, platform: str | None = None
) -> tuple[Configuration | None, tuple[Problem, ...]]:
    """Check a file or folder of rule files, or of ConfigMap manifests, as the rules of the team of a namespace.

    ``platform`` is the platform's settings file, a rule file or a folder of them; its definitions can be referred to.
    What is missing on this machine only, such as a secret, is no problem. The configuration has the team's rules only;
    it is None if there are problems.
    """
    theirs = _platform(platform, namespace) if platform is not None else _Platform()
    ours = _Team(path, namespace)
    candidates = Candidates({**theirs.texts, **ours.texts}, theirs.texts, frozenset())
    settled = settle(candidates, theirs.namespaces)
    found = ordered((*theirs.problems, *ours.problems, *map(ours.placed, settled.problems)))
    problems = tuple(problem for problem in found if problem.kind != "environment")
    return (None if problems else _of_team(settled.configuration)), problems


def _of_team(configuration: Configuration) -> Configuration:
    theirs = {name for name, place in configuration.positions.items() if team(place) is None}
    rules = tuple(rule for rule in configuration.rules if f"rules.{rule.name}" not in theirs)
    return replace(configuration, rules=rules)


class _Team:
    """The texts under the file names of a team's ConfigMaps, and the real file of each."""

    def __init__(self, path: str, namespace: str) -> None:
        self.texts: dict[str, str] = {}
        self._namespace = namespace
        self._places: dict[str, str] = {}
        where = str(Path(path).absolute())
        texts, self.problems = read_all(find([where]).files)
        for file, text in texts.items():
            self._take(file, text)
        if not self.texts and not self.problems:
            why = f"there is no rule file and no manifest of a ConfigMap with the label `{LABEL}`"
            self.problems.append(Problem(where, 1, 1, "", why, "name the folder that has them"))

    def placed(self, problem: Problem) -> Problem:
        """The problem with the path of the real file."""
        message = problem.message
        for name, place in self._places.items():
            message = message.replace(name, place)
        return replace(problem, file=self._places.get(problem.file, problem.file), message=message)

    def _take(self, file: str, text: str) -> None:
        inside = entries(text)
        if inside is None:
            self._add(file, file, text)
        for entry in inside or ():
            if entry.namespace not in (None, self._namespace):
                why = f"this ConfigMap is of namespace `{entry.namespace}`, not of `{self._namespace}`"
                wrong = Problem(file, entry.line, 1, "metadata.namespace", why, "check it with --team of its namespace")
                self.problems.append(wrong)
            name = f"{file}[{entry.key}]"
            self._add(name, file if entry.placed else name, entry.text)

    def _add(self, name: str, place: str, text: str) -> None:
        known = team_file(self._namespace, name)
        self.texts[known] = text
        self._places[known] = place


def _platform(path: str, namespace: str) -> _Platform:
    where = settings_file(path).absolute()
    if not is_settings(where):
        return _read([str(where)])
    settings, problems = read_settings(str(where))
    if settings is None:
        return _Platform(problems=tuple(problems))
    read = _read(settings.rules)
    teams = settings.config_maps.namespaces if settings.config_maps is not None else []
    return _Platform(
        read.texts, namespaces_of(settings), (*problems, *read.problems, *_unwatched(str(where), namespace, teams))
    )


def _unwatched(file: str, namespace: str, teams: list[str]) -> Iterator[Problem]:
    if namespace not in teams:
        yield beginning(file).problem(
            "config_maps.namespaces",
            f"`{namespace}` is not among them, so no rules are read from there",
            did_you_mean(namespace, teams, "add it there"),
        )


def _read(paths: Iterable[str]) -> _Platform:
    texts, problems = read_all(find(paths).files)
    return _Platform(texts, None, tuple(problems))
