"""The current rules, compiled and indexed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from retrainer.config.models import Budget
from retrainer.rules.compile import CompiledRule, compile_rule
from retrainer.rules.index import Index
from retrainer.sources.base import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from retrainer.config.load import Configuration
    from retrainer.rules.triggers.after import CompiledAfter
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.rules.triggers.threshold import CompiledThreshold

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Poll:
    """The triggers that share a query, and an index of the series that each of them matches."""

    gauges: tuple[CompiledThreshold, ...]
    index: Index[CompiledThreshold]


@dataclass(frozen=True, slots=True)
class Catalog:
    """The rules and their indexes.

    ``index`` has the data triggers, ``gauges`` the triggers of pushed metrics and alerts. ``polls`` has the triggers of
    polled queries by source and query, ``followers`` the `after` triggers by upstream rule.
    """

    rules: Mapping[str, CompiledRule]
    index: Index[CompiledData]
    pools: Mapping[str, int]
    revision: str
    gauges: Index[CompiledThreshold] = field(default_factory=lambda: Index(()))
    polls: Mapping[tuple[str, Query], Poll] = field(default_factory=dict)
    followers: Mapping[str, tuple[CompiledAfter, ...]] = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    payers: Mapping[str, tuple[CompiledRule, ...]] = field(default_factory=dict)
    """The rules whose runs each budget pays for, by `budget_of`."""
    polled: frozenset[str] = frozenset()
    """Sources that rules poll. Only values of these sources can be the result of a query."""

    def paused(self, rule: str, *, by_hand: bool) -> Catalog:
        """Return the catalog with one rule manually paused or resumed."""
        old = self.rules[rule]
        new = replace(old, paused=by_hand or old.rule.mode == "paused")
        return replace(self, rules={**self.rules, rule: new})

    def with_pauses(self, by_hand: Collection[str]) -> Catalog:
        """Return the catalog with exactly these rules manually paused."""
        changed = {
            name: replace(rule, paused=paused)
            for name, rule in self.rules.items()
            if rule.paused != (paused := name in by_hand or rule.rule.mode == "paused")
        }
        return replace(self, rules={**self.rules, **changed}) if changed else self

    def budget_for(self, rule: CompiledRule) -> Budget | None:
        """Return the budget that pays for a rule's runs: its own, or a shared one."""
        budget = rule.rule.limits.budget
        return self.budgets.get(budget) if isinstance(budget, str) else budget

    def queries(self, source: str, busy: Collection[tuple[str, str]] = ()) -> frozenset[Query]:
        """Return the distinct queries to poll from a source, without those of a ``busy`` (rule, trigger)."""
        return frozenset(
            query
            for (name, query), poll in self.polls.items()
            if name == source and not any((gauge.rule, gauge.name) in busy for gauge in poll.gauges)
        )

    def listens(self, source: str) -> bool:
        """Whether any rule uses events of a source."""
        return source in self.index.sources or source in self.gauges.sources


def budget_of(rule: CompiledRule) -> str:
    """Return the name of the budget that pays for a rule's runs; empty if the rule has no budget."""
    budget = rule.rule.limits.budget
    if budget is None:
        return ""
    return f"rule/{rule.name}" if isinstance(budget, Budget) else budget


def build_catalog(configuration: Configuration, paused: Collection[str]) -> Catalog:
    """Compile a configuration that was validated before."""
    rules = {
        rule.name: compile_rule(
            rule, configuration.rule_revision(rule.name), configuration.calendars, paused=rule.name in paused
        )
        for rule in configuration.rules
    }
    gauges = [gauge for rule in rules.values() for gauge in rule.gauges.values()]
    payers = _grouped((budget_of(rule), rule) for rule in rules.values() if budget_of(rule))
    followers = _grouped((after.after.rule, after) for rule in rules.values() for after in rule.afters.values())
    queries = _grouped(((g.source, Query(str(g.expr), g.sample_time)), g) for g in gauges if g.expr is not None)
    return Catalog(
        rules,
        Index(trigger for rule in rules.values() for trigger in rule.data.values()),
        configuration.pools,
        configuration.revision,
        Index(gauge for gauge in gauges if gauge.expr is None),
        {query: Poll(found, Index(found)) for query, found in queries.items()},
        followers,
        configuration.budgets,
        payers,
        frozenset(gauge.source for gauge in gauges if gauge.expr is not None),
    )


def _grouped(pairs: Iterable[tuple[K, V]]) -> dict[K, tuple[V, ...]]:
    found: dict[K, list[V]] = defaultdict(list)
    for name, value in pairs:
        found[name].append(value)
    return {name: tuple(values) for name, values in found.items()}


EMPTY = Catalog({}, Index(()), {}, "")
