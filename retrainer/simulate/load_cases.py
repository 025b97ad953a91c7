"""Load rule tests from files, with their rules. Every problem has its position."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.config.document import read_model
from retrainer.config.errors import Problem, ordered
from retrainer.config.files import find, missing
from retrainer.config.load import load_files
from retrainer.config.validation import Shape
from retrainer.config.violation import Violation, locate
from retrainer.simulate.casefile import Case, Cases
from retrainer.simulate.check_cases import check_case

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.config.tree import Node

_CASES: Shape[Cases] = Shape(Cases)


@dataclass(frozen=True, slots=True)
class Suite:
    """The tests of one file; none if the file or its rules have ``problems``. ``places``: the line of each test."""

    file: str
    cases: tuple[Case, ...]
    places: tuple[int, ...]
    configuration: Configuration | None
    problems: tuple[Problem, ...]


def load_cases(paths: Iterable[str]) -> list[Suite]:
    """Read test files, and files named `*_test.yaml` in folders; sorted within each path."""
    found = find(paths, tests=True)
    return [*(_broken(path, missing(path)) for path in found.missing), *map(_suite, found.files)]


def _suite(file: str) -> Suite:
    root, shaped = read_model(file, _CASES, "begin with `version: 1`, then `rules:`")
    if root is None or shaped.value is None or shaped.problems:
        return _broken(file, *shaped.problems)
    return _about_rules(file, root, shaped.value)


def _about_rules(file: str, root: Node, cases: Cases) -> Suite:
    folder = Path(file).parent
    configuration, of_rules = load_files(str(folder / path) for path in cases.rules)
    problems = [*of_rules, *(locate(finding, root, ()) for finding in _missing_rules(folder, cases))]
    problems = problems or [locate(finding, root, ()) for finding in _check(cases, configuration)]
    if problems:
        return _broken(file, *problems)
    nodes = root.items()["tests"].elements()
    return Suite(file, tuple(cases.tests), tuple(node.mark.line for node in nodes), configuration, ())


def _missing_rules(folder: Path, cases: Cases) -> Iterator[Violation]:
    for i, path in enumerate(cases.rules):
        if not (folder / path).exists():
            yield Violation(
                ("rules", i), f"there is no {folder / path}", "the path is relative to the folder of this file"
            )


def _check(cases: Cases, configuration: Configuration) -> Iterator[Violation]:
    seen: dict[str, int] = {}
    for i, case in enumerate(cases.tests):
        if seen.setdefault(case.name, i) != i:
            yield Violation(("tests", i, "name"), f"there is another test `{case.name}`", "give it another name")
        yield from check_case(("tests", i), case, configuration)


def _broken(file: str, *problems: Problem) -> Suite:
    return Suite(file, (), (), None, ordered(problems))
