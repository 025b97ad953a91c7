"""PURE: rule files of teams: they come from ConfigMaps of the team's namespace, and may do less than the platform's.

A source is opened with the daemon's own rights and secrets, and a Workflow runs with those of its namespace: so a team
defines no sources, and its rules run in its namespace only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.errors import Problem
    from retrainer.config.models import Rule
    from retrainer.config.tree import Node

LABEL = "retrainer.dev/rules"
"""Of the ConfigMaps that hold rules; its value is the name of the instance that reads them."""
_PREFIX = "configmap:"


class TeamFiles(NamedTuple):
    """Texts by file. ``problems`` name ConfigMaps and namespaces that cannot be read; their last good is used."""

    texts: Mapping[str, str] = {}
    problems: tuple[Problem, ...] = ()


NO_TEAMS = TeamFiles()


def team_file(namespace: str, config_map: str = "", key: str = "") -> str:
    """Name a file, or all of a ConfigMap or of a namespace."""
    return _PREFIX + "/".join(part for part in (namespace, config_map, key) if part)


def team(file: str) -> str | None:
    """Return the namespace of the team whose file it is; None for the platform's own."""
    return file.removeprefix(_PREFIX).partition("/")[0] if file.startswith(_PREFIX) else None


def foreign_sources(root: Node, file: str) -> Iterator[Problem]:
    """Refuse sources in a team's file."""
    if team(file) is not None and root.get("sources"):
        yield root.key("sources").problem(
            "sources",
            "a ConfigMap of a team defines no sources: they would be opened with the rights of all of retrainer",
            "ask the platform's team to define it, and use its name",
        )


def settled(rule: Rule, file: str) -> Rule | Violation:
    """Return the rule as it runs: that of a team in its own namespace."""
    namespace = team(file)
    if namespace is None:
        return rule
    if rule.submit.namespace not in (None, namespace):
        return Violation(
            (),  # not where it says so: that may be a template of the platform
            f"a rule from a ConfigMap in {namespace} runs there, not in `{rule.submit.namespace}`",
            "take `namespace` out, or ask the platform's team to take the rule among its own",
        )
    return rule.model_copy(update={"submit": rule.submit.model_copy(update={"namespace": namespace})})
