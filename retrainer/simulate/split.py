"""Split rules into independent groups, each of which can be simulated separately."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.config.models import Rule


def shares(configuration: Configuration, count: int) -> list[frozenset[str]]:
    """Return rule names in at most ``count`` shares of about equal size. Rules that depend on each other share one."""
    found: list[set[str]] = [set() for _ in range(count)]
    for group in sorted(_groups(configuration), key=len, reverse=True):
        min(found, key=len).update(group)
    return [frozenset(share) for share in found if share]


def _groups(configuration: Configuration) -> list[set[str]]:
    """Group rules that share a pool or a budget, or that follow each other's runs (union-find)."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for rule in configuration.rules:
        for other in _meets(rule):
            leader[find(f"rule/{rule.name}")] = find(other)
    groups: dict[str, set[str]] = {}
    for rule in configuration.rules:
        groups.setdefault(find(f"rule/{rule.name}"), set()).add(rule.name)
    return list(groups.values())


def _meets(rule: Rule) -> Iterator[str]:
    if rule.limits.pool is not None:
        yield f"pool/{rule.limits.pool}"
    if isinstance(rule.limits.budget, str):
        yield f"budget/{rule.limits.budget}"
    for trigger in rule.triggers.values():
        if trigger.after is not None:
            yield f"rule/{trigger.after.rule}"
