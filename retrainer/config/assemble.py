"""Combine all rule files: merge sections, expand rules, check everything."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.config import expand
from retrainer.config.check import check_rule, follows
from retrainer.config.check_chains import check_chains
from retrainer.config.check_compile import check_compile, contained
from retrainer.config.check_limits import check_budget
from retrainer.config.check_sources import check_calendar, check_form, check_paths, check_source
from retrainer.config.configuration import Configuration, calendars_of, configuration
from retrainer.config.errors import MOST_TOLD, Problem, did_you_mean, shown
from retrainer.config.interning import Shared
from retrainer.config.models import Budget, Calendar, Identifier, Name, Rule, Slots, Source
from retrainer.config.relative import seen_from
from retrainer.config.short_forms import lengthen
from retrainer.config.teams import settled
from retrainer.config.tree import Node, Path, spell
from retrainer.config.validation import Shape
from retrainer.config.violation import Names, Violation, locate
from retrainer.config.written import as_written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from retrainer.config.document import Document

MOST_VALUES = 20_000
"""Maximum number of values in one rule."""
MOST_VALUES_OF_ALL = 4_000_000
"""Maximum number of values in all rules together: a hundred times what a large team has."""
_UNNAMED = "unnamed"
_RULE: Shape[Rule] = Shape(Rule, {"name": _UNNAMED, "triggers": {_UNNAMED: {}}, "submit": {}})
_SHAPES: dict[str, Shape[Any]] = {
    "sources": Shape(dict[Name, Source]),
    "calendars": Shape(dict[Identifier, Calendar]),
    "pools": Shape(dict[Identifier, Slots]),
    "budgets": Shape(dict[Identifier, Budget]),
}


class Assembled(NamedTuple):
    """``configuration`` holds the valid parts. It is complete only if there are no problems."""

    configuration: Configuration
    problems: list[Problem]


class Beside(NamedTuple):
    """What is in force in other files: it may be referred to, and must not be defined again."""

    configuration: Configuration
    templates: Mapping[str, expand.RuleTemplate | None]


NOTHING_BESIDE = Beside(configuration((), {}, {}, {}, {}, {}), {})


def assemble(documents: Sequence[Document], namespaces: tuple[str, ...] | None) -> Assembled:
    """Check files against each other. If two files clash, the problem is reported for the later one."""
    return _Assembly(documents, namespaces, NOTHING_BESIDE, MOST_VALUES_OF_ALL).run()


def assemble_beside(document: Document, namespaces: tuple[str, ...] | None, beside: Beside, most: int) -> Assembled:
    """Check one file of at most ``most`` values. Nothing of this machine is looked at, such as whether secrets exist.

    The configuration has what the file defines, and no more.
    """
    return _Assembly([document], namespaces, beside, most, check_form).run()


class _Place(NamedTuple):
    node: Node
    path: Path


class _Assembly:
    def __init__(
        self,
        documents: Sequence[Document],
        namespaces: tuple[str, ...] | None,
        beside: Beside,
        most: int,
        check: Callable[[Source], Iterable[Violation]] = check_source,
    ) -> None:
        self._documents = documents
        self._namespaces = namespaces
        self._beside, self._most, self._check_source = beside, most, check
        self._problems: list[Problem] = [problem for document in documents for problem in document.problems]
        self._places: dict[str, _Place] = {}
        self._weight = 0
        self._wrong: set[str] = set()
        """Rules and calendars that have a reported problem."""
        self._shared = Shared()

    def run(self) -> Assembled:
        beside = self._beside.configuration
        sources: dict[str, Source] = self._named("sources", self._check_source)
        for name, finding in check_paths({**beside.sources, **sources}):
            if name in sources:
                self._problems.append(locate(finding, *self._places[f"sources.{name}"]))
        calendars: dict[str, Calendar] = self._named("calendars", check_calendar)
        pools: dict[str, int] = self._named("pools", lambda _: ())
        budgets: dict[str, Budget] = self._named("budgets", check_budget)
        names = Names(
            sources={**beside.sources, **self._all("sources", sources)},
            calendars={**beside.calendars, **self._all("calendars", calendars)},
            pools={**beside.pools, **self._all("pools", pools)},
            budgets={**beside.budgets, **self._all("budgets", budgets)},
            namespaces=self._namespaces,
        )
        used = {**beside.calendars, **calendars}
        rules = [rule for rule in self._rules(names) if calendars_of(rule) <= used.keys()]
        rules = [rule for rule in rules if self._compiles(rule, used)]
        for name, finding in check_chains([*beside.rules, *rules], self._rule_names()):
            if f"rules.{name}" in self._places:
                self._problems.append(locate(finding, *self._places[f"rules.{name}"]))
        positions = {name: _position(place.node) for name, place in self._places.items()}
        return Assembled(configuration(rules, sources, used, pools, budgets, positions), self._problems)

    def _named(self, section: str, check: Callable[[Any], Iterable[Violation]]) -> dict[str, Any]:
        """Validate and check one section of all files; invalid entries are left out."""
        found: dict[str, Any] = {}
        for document in self._documents:
            node = document.section(section)
            for name, child in (node.items() if node else {}).items():
                place = _Place(lengthen(child, section), (section, name))
                if node and self._once(section, name, place, node.key(name).problem):
                    shaped = _SHAPES[section].check(
                        Node({name: place.node}, node.mark, {name: node.key(name)}), (section,)
                    )
                    self._problems += shaped.problems
                    part = seen_from(FilePath(document.file).parent, (shaped.value or {}).get(name))
                    findings = list(contained(check(part))) if part is not None else []
                    if findings:
                        self._wrong.add(f"{section}.{name}")
                    gone = [path[1:] for path in shaped.cut]
                    self._problems += [locate(finding, *place) for finding in findings if not follows(finding, gone)]
                    if not shaped.problems and not gone:
                        found[name] = part
        return found

    def _once(self, section: str, name: str, place: _Place, report: Callable[[str, str, str], Problem]) -> bool:
        first = self._places.setdefault(f"{section}.{name}", place)
        elsewhere = self._beside.configuration.positions.get(f"{section}.{name}")
        if first is not place or elsewhere is not None:
            what = f"{section.removesuffix('s')} `{name}` is defined already"
            where = shown(elsewhere or _position(first.node))
            self._problems.append(report(spell(place.path), f"{what}, in {where}", "rename or remove one of them"))
        return first is place and elsewhere is None

    def _all(self, section: str, found: dict[str, Any]) -> dict[str, Any]:
        """All names; broken entries are None, so that references to them are not reported."""
        prefix = section + "."
        return {
            name.removeprefix(prefix): found.get(name.removeprefix(prefix))
            for name in self._places
            if name.startswith(prefix)
        }

    def _rules(self, names: Names) -> Iterator[Rule]:
        known = self._templates()
        for document in self._documents:
            section = document.section("rules")
            defaults = self._defaults(document)
            before = len(self._problems)
            for i, node in enumerate(section.elements() if section else ()):
                if len(self._problems) - before > MOST_TOLD:
                    break  # the file is not used, and more problems than this are not reported
                if not isinstance(node.value, dict):
                    continue
                expanded, problems = expand.expand(node, ("rules", i), known, defaults)
                self._problems += problems
                if expanded and self._light(place := _Place(as_written(expanded), ("rules", i))):
                    yield from self._settled(place, names, document.file)

    def _light(self, place: _Place) -> bool:
        """Whether the rule is small enough: with templates, few lines can become many values."""
        weight = expand.weight(place.node, MOST_VALUES)
        self._weight += weight
        if weight <= MOST_VALUES and self._weight <= self._most:
            return True
        said = f"more than {MOST_VALUES} values" if weight > MOST_VALUES else f"{self._most} values so far"
        what = f"{said}, with what templates and defaults put in"
        self._problems.append(place.node.mark.problem(spell(place.path), what, "make the rules smaller, or fewer"))
        return False

    def _settled(self, place: _Place, names: Names, file: str) -> Iterator[Rule]:
        rule = self._rule(place, names)
        runs = settled(rule, file) if rule else None
        if isinstance(runs, Violation):
            self._problems.append(locate(runs, *place))
        elif runs:
            yield runs

    def _compiles(self, rule: Rule, calendars: dict[str, Calendar]) -> bool:
        if {f"rules.{rule.name}", *(f"calendars.{name}" for name in calendars_of(rule))} & self._wrong:
            return True  # it is not used
        findings = list(contained(check_compile(rule, calendars)))
        self._problems += [locate(finding, *self._places[f"rules.{rule.name}"]) for finding in findings]
        return not findings

    def _rule_names(self) -> set[str]:
        """Names of all rules, including broken ones, so that references to them are not reported."""
        sections = [document.section("rules") for document in self._documents]
        named = [rule.get("name") for section in sections if section for rule in section.elements()]
        beside = {rule.name for rule in self._beside.configuration.rules}
        return beside | {name.value for name in named if name is not None and isinstance(name.value, str)}

    def _rule(self, place: _Place, names: Names) -> Rule | None:
        shaped = _RULE.check(place.node, place.path)
        self._problems += shaped.problems
        if shaped.value is None:
            return None
        rule = self._shared.share(shaped.value)
        findings = [found for found in contained(check_rule(rule, names)) if not follows(found, shaped.cut)]
        self._problems += [locate(finding, *place) for finding in findings]
        if findings:
            self._wrong.add(f"rules.{rule.name}")
        named = place.node.get("name")
        if rule.name != _UNNAMED and named and not self._once("rules", rule.name, place, named.mark.problem):
            return None
        return None if shaped.problems or shaped.cut else rule

    def _templates(self) -> dict[str, expand.RuleTemplate | None]:
        known = dict(self._beside.templates)
        for document in self._documents:
            section = document.section("templates")
            found, problems = expand.templates(section)
            self._problems += problems
            for name, template in found.items():
                node = section.items()[name] if section else None
                if node and self._once("templates", name, _Place(node, ("templates", name)), node.mark.problem):
                    known[name] = template
        return known

    def _defaults(self, document: Document) -> Node | None:
        """The defaults of a file. A rule's name and its template cannot be defaults."""
        defaults = document.section("defaults")
        fields = {field.alias or name for name, field in Rule.model_fields.items()} - {"name"}
        if defaults is not None:
            self._problems += [
                defaults.key(name).problem(
                    f"defaults.{name}", f"`{name}` cannot be a default", did_you_mean(name, fields)
                )
                for name in defaults.items()
                if name not in fields
            ]
            own = {key: child for key, child in defaults.items().items() if key in fields}
            defaults = lengthen(Node(own, defaults.mark, defaults.keys), "rules")
        return defaults


def _position(node: Node) -> str:
    return f"{node.mark.text.file}:{node.mark.line}:{node.mark.column}"
