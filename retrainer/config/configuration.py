"""A valid configuration: all rules and what they refer to."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from retrainer.config.models import Budget, Calendar, Rule, Source


@dataclass(frozen=True, slots=True)
class Configuration:
    """``rules`` are sorted by name. ``revision`` changes with the content, not with the layout of the files.

    ``positions`` has the position of rules, sources, calendars and pools: ``rules.churn`` maps to
    ``file:line:column``.
    """

    rules: tuple[Rule, ...]
    sources: Mapping[str, Source]
    calendars: Mapping[str, Calendar]
    pools: Mapping[str, int]
    budgets: Mapping[str, Budget]
    revision: str
    positions: Mapping[str, str] = field(compare=False)
    revisions: Mapping[str, str] = field(repr=False)

    def rule_revision(self, name: str) -> str:
        """Twelve hexadecimal digits, a hash of the rule and its calendars. Raise KeyError for an unknown rule."""
        return self.revisions[name]


def configuration(
    rules: Iterable[Rule],
    sources: Mapping[str, Source],
    calendars: Mapping[str, Calendar],
    pools: Mapping[str, int],
    budgets: Mapping[str, Budget],
    positions: Mapping[str, str],
) -> Configuration:
    """Combine the parts and compute the revisions."""
    by_name = tuple(sorted(rules, key=lambda rule: rule.name))
    revisions = {rule.name: _digest(_meaning(rule, calendars)) for rule in by_name}
    whole = _digest(
        {
            "rules": revisions,
            "sources": {name: source.model_dump(mode="json", by_alias=True) for name, source in sources.items()},
            "pools": dict(pools),
            "budgets": {name: budget.model_dump(mode="json") for name, budget in budgets.items()},
        }
    )
    return Configuration(
        rules=by_name,
        sources=MappingProxyType(dict(sources)),
        calendars=MappingProxyType(dict(calendars)),
        pools=MappingProxyType(dict(pools)),
        budgets=MappingProxyType(dict(budgets)),
        revision=whole,
        positions=positions,
        revisions=revisions,
    )


def _meaning(rule: Rule, calendars: Mapping[str, Calendar]) -> dict[str, Any]:
    """All fields of a rule except its description, and the calendars that it uses."""
    used = calendars_of(rule)
    return {
        "rule": rule.model_dump(mode="json", by_alias=True, exclude={"description"}),
        "calendars": {name: calendars[name].model_dump(mode="json") for name in used},
    }


def calendars_of(rule: Rule) -> set[str]:
    """Names of the calendars that a rule uses."""
    excepted = {name for trigger in rule.triggers.values() if trigger.schedule for name in trigger.schedule.except_}
    return excepted | set(rule.limits.mute)


def _digest(value: Any) -> str:
    return sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]
