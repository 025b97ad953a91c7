"""Lists of rules: which match, in which order, and how many there are of each kind."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from retrainer.api.verdicts import CHUNK
from retrainer.store import run_statements, statements
from retrainer.store.pages import Page, PageRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Row

    from retrainer.api.verdicts import Verdict, Verdicts
    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

MOST_JUDGED = 200
"""Verdicts that are made for one page; a page that needs more is shorter, and has a `next`."""
FEW = 40
"""Verdicts that are made before rules are counted or put in order; of others, the last one is taken."""
TEAM = "team"
"""The label by which rules are counted."""
MOST_VALUES = 50
"""Values of a facet that are listed."""
_LATE = 1
_UNKNOWN = 5

_Said = tuple[str, str] | None
"""Decision and reason of a verdict; None if it is not known."""
Place = tuple[int, str]
"""Where a rule is in a list: its rank (0 in a list by name), then its name."""


@dataclass(frozen=True, slots=True)
class RuleQuery:
    """A filter for rules: those of a page that meet all conditions. The time is that of their last run.

    ``name``: a part of the name. ``state``: a mode, a decision or its reason. ``labels``: `name` or `name=value`.
    ``only``: names of the rules that the caller may see, None for all. ``worst_first``: by how much they need somebody.
    """

    page: PageRequest
    name: str = ""
    state: str = ""
    source: str = ""
    labels: tuple[str, ...] = ()
    only: Collection[str] | None = None
    mode: str = ""
    worst_first: bool = False

    def on(self, page: PageRequest, *, worst_first: bool) -> RuleQuery:
        """Return the query with another page and order."""
        return replace(self, page=page, worst_first=worst_first)


@dataclass(frozen=True, slots=True, eq=False)
class _Facts:
    """What is counted of a rule: one object for all rules of which it is the same, so that it is compared quickly.

    ``mode``: paused also if that was done manually. ``configured``: the mode as in the file.
    """

    team: str | None
    mode: str
    configured: str
    sources: frozenset[str]

    def unmet(self, query: RuleQuery) -> list[str]:
        """Return the facets whose conditions it does not meet, without that of the reason."""
        team = {TEAM: self.team} if self.team is not None else {}
        met = {
            "team": all(_has(team, label) for label in query.labels if _is_of_team(label)),
            "mode": query.mode in ("", self.mode),
            "source": not query.source or query.source in self.sources,
        }
        return [facet for facet, is_met in met.items() if not is_met]

    def values(self, facet: str, said: _Said) -> Collection[str]:
        if facet == "team":
            return () if self.team is None else (self.team,)
        if facet == "reason":
            return () if said is None else said[1:]
        return (self.mode,) if facet == "mode" else self.sources

    def is_in_state(self, said: _Said, state: str) -> bool:
        """Whether the state is none, or the mode, the decision or the reason."""
        return not state or state in (self.mode, self.configured) or (said is not None and state in said)


class RuleListing:
    """Lists by the remembered verdicts; those of the rules on a page are made again if they may be others by now."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog], verdicts: Verdicts) -> None:
        self._store, self._clock, self._newest, self._verdicts = store, clock, catalog, verdicts
        self._known: tuple[Catalog | None, dict[str, _Facts]] = None, {}

    def page(self, query: RuleQuery) -> Page:
        """Return the lines after the cursor; ``next`` is the place of the last rule that was checked."""
        catalog = self._looked()
        places = self._places(catalog, query)
        left = iter(places[bisect_right(places, _place_of(query)) :])
        found: list[dict[str, Any]] = []
        looked_up = 0
        while chunk := list(islice(left, CHUNK)):
            names = [name for _, name in chunk]
            looked_up += len(self._verdicts.missing(names))
            lines = self._lines(catalog, names, query)
            for place in chunk:
                looked_up += query.page.has_period
                if place[1] in lines:
                    found.append(lines[place[1]])
                if len(found) >= query.page.limit or looked_up >= MOST_JUDGED:
                    return Page(found, _cursor(place, query))
        return Page(found)

    def line(self, name: str) -> dict[str, Any]:
        """Return the line of a rule, which exists."""
        self._verdicts.catch_up()
        return self._lines(self._newest(), [name], RuleQuery(PageRequest()))[name]

    def facets(self, query: RuleQuery) -> dict[str, Any]:
        """Return how many rules match, and for each facet its values with their counts, the most frequent first.

        The counts of a facet are of rules that meet all other conditions: what would be found with another value.
        """
        catalog, now = self._looked(), self._clock.now()
        verdicts = self._verdicts.of(catalog.rules)
        counts: dict[str, Counter[str]] = {facet: Counter() for facet in ("team", "reason", "mode", "source")}
        total = needs = unknown = 0
        groups = Counter(
            (facts, _said(verdict), _needs_somebody(verdict, now))
            for verdict, facts in ((verdicts.get(name), facts) for name, facts in self._visible(catalog, query))
        )
        for (facts, said, needy), rules in groups.items():
            unknown += rules * (said is None)
            unmet = [*facts.unmet(query), *([] if facts.is_in_state(said, query.state) else ["reason"])]
            if not unmet:
                total += rules
                needs += rules * needy
            if len(unmet) < 2:
                for facet in unmet or counts:
                    counts[facet].update(dict.fromkeys(facts.values(facet, said), rules))
        facets = {f"{facet}s": [{"value": v, "rules": n} for v, n in _most(count)] for facet, count in counts.items()}
        return {"total": total, "needs_somebody": needs, "unknown": unknown, **facets}

    def _looked(self) -> Catalog:
        """Return the catalog whose verdicts are then known, but for many that changed at once, or after a start."""
        self._verdicts.look()
        self._verdicts.catch_up()
        catalog = self._newest()
        self._verdicts.current(self._verdicts.missing(catalog.rules)[:FEW])
        return catalog

    def _facts(self, catalog: Catalog) -> dict[str, _Facts]:
        if self._known[0] is not catalog:
            same: dict[object, _Facts] = {}
            self._known = catalog, {name: _facts_of(rule, same) for name, rule in catalog.rules.items()}
        return self._known[1]

    def _visible(self, catalog: Catalog, query: RuleQuery) -> Iterator[tuple[str, _Facts]]:
        """Yield the rules that meet the conditions which are no facet."""
        labels = [label for label in query.labels if not _is_of_team(label)]
        for name, facts in self._facts(catalog).items():
            if query.name not in name or not (query.only is None or name in query.only):
                continue
            if not labels or all(_has(catalog.rules[name].rule.labels, label) for label in labels):
                yield name, facts

    def _places(self, catalog: Catalog, query: RuleQuery) -> list[Place]:
        """Return the places of the rules that meet the conditions, or may once their verdict is made, in order."""
        unmet = cache(partial(_Facts.unmet, query=query))
        names = [name for name, facts in self._visible(catalog, query) if not unmet(facts)]
        verdicts, now = self._verdicts.of(names), self._clock.now()
        if query.state:
            facts, due = self._facts(catalog), set(self._verdicts.missing(names))
            names = [n for n in names if n in due or facts[n].is_in_state(_said(verdicts.get(n)), query.state)]
        if not query.worst_first:
            return sorted((0, name) for name in names)
        return sorted((_rank(verdicts[name], now) if name in verdicts else _UNKNOWN, name) for name in names)

    def _lines(self, catalog: Catalog, names: Sequence[str], query: RuleQuery) -> dict[str, dict[str, Any]]:
        """Return the lines of those rules that meet the conditions of state and time."""
        verdicts, now = self._verdicts.current(names), self._clock.now()
        facts = self._facts(catalog)
        found = [n for n, v in verdicts.items() if facts[n].is_in_state(_said(v), query.state)]
        stored = self._store.read(partial(_stored, rules=[catalog.rules[name] for name in found]))
        if query.page.has_period:
            found = [n for n in found if (run := stored[n][0]) is not None and query.page.covers(run.created_at)]
        return {name: _line(catalog.rules[name], verdicts[name], *stored[name], now) for name in found}


def _line(rule: CompiledRule, verdict: Verdict, last: Row[Any] | None, keys: int, now: float) -> dict[str, Any]:
    return {
        "name": rule.name,
        "mode": rule.rule.mode,
        "paused": rule.paused,
        "description": rule.rule.description,
        "labels": dict(rule.rule.labels),
        "keys": keys,
        **{name: getattr(verdict, name) for name in ("verdict", "decision", "reason", "until")},
        "next_fire": verdict.earliest,
        "late_since": verdict.late_at if _is_late(verdict, now) else None,
        "last_run": {"id": last.id, "phase": last.phase, "ended_at": last.ended_at} if last else None,
    }


def _stored(conn: Connection, rules: Sequence[CompiledRule]) -> dict[str, tuple[Row[Any] | None, int]]:
    """Return the last run of each rule, and the number of its keys."""
    last = run_statements.last_runs(conn, [rule.name for rule in rules])
    return {
        rule.name: (last.get(rule.name), statements.count_keys(conn, rule.name) if rule.per_key else 0)
        for rule in rules
    }


def _facts_of(rule: CompiledRule, same: dict[object, _Facts]) -> _Facts:
    labels = rule.rule.labels
    team = str(labels[TEAM]) if TEAM in labels else None
    mode = "paused" if rule.paused else rule.rule.mode
    facts = team, mode, rule.rule.mode, frozenset(sources_of(rule))
    return same.setdefault(facts, _Facts(*facts))


def _said(verdict: Verdict | None) -> _Said:
    return None if verdict is None else (verdict.decision, verdict.reason)


def _needs_somebody(verdict: Verdict | None, now: float) -> bool:
    return verdict is not None and _rank(verdict, now) <= _LATE


def _rank(verdict: Verdict, now: float) -> int:
    return min(verdict.rank, _LATE) if _is_late(verdict, now) else verdict.rank


def _is_late(verdict: Verdict, now: float) -> bool:
    return verdict.late_at is not None and verdict.late_at <= now


def _place_of(query: RuleQuery) -> Place:
    """Return the place of a cursor; of one that is none, the beginning of a list."""
    cursor = query.page.cursor or ""
    if not query.worst_first:
        return 0, cursor
    rank, _, name = cursor.partition(" ")
    return (int(rank), name) if rank.isdecimal() and len(rank) == 1 else (-1, "")


def _cursor(place: Place, query: RuleQuery) -> str:
    return f"{place[0]} {place[1]}" if query.worst_first else place[1]


def _most(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_VALUES]


def _is_of_team(label: str) -> bool:
    return label.partition("=")[0] == TEAM


def _has(labels: Mapping[str, object], label: str) -> bool:
    """Whether a label exists (`team`), with that value (`team=fraud`)."""
    name, equals, value = label.partition("=")
    return name in labels and (not equals or str(labels[name]) == value)


def sources_of(rule: CompiledRule) -> Sequence[str]:
    """Return the sources of a rule's triggers."""
    return [*(trigger.source for trigger in rule.data.values()), *(gauge.source for gauge in rule.gauges.values())]
