"""The rules as they stand now, compiled and indexed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrainer.rules.compile import CompiledRule, compile_rule
from retrainer.rules.index import Index

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from retrainer.config.load import Configuration


@dataclass(frozen=True, slots=True)
class Catalog:
    rules: Mapping[str, CompiledRule]
    index: Index
    pools: Mapping[str, int]
    revision: str

    def paused(self, rule: str, *, by_hand: bool) -> Catalog:
        """The same with one rule paused or resumed by hand."""
        old = self.rules[rule]
        new = replace(old, paused=by_hand or old.rule.mode == "paused")
        return replace(self, rules={**self.rules, rule: new})


def build_catalog(configuration: Configuration, paused: Collection[str]) -> Catalog:
    """Compile a configuration that was validated before."""
    rules = {
        rule.name: compile_rule(
            rule, configuration.rule_revision(rule.name), configuration.calendars, paused=rule.name in paused
        )
        for rule in configuration.rules
    }
    index = Index(trigger for rule in rules.values() for trigger in rule.data.values())
    return Catalog(rules, index, configuration.pools, configuration.revision)


EMPTY = Catalog({}, Index(()), {}, "")
