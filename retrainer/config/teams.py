"""PURE: rule files of teams. They come from ConfigMaps in the team's namespace, with fewer rights than the platform's.

A source is opened with the rights and secrets of the daemon, and a Workflow runs with those of its namespace. So a team
cannot define sources, and its rules run in its own namespace only.
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
"""Label of the ConfigMaps that hold rules; its value is the name of the instance that reads them."""
_PREFIX = "configmap:"


class TeamFiles(NamedTuple):
    """Texts by file. ``problems`` name ConfigMaps and namespaces that cannot be read; their last good text is used."""

    texts: Mapping[str, str] = {}
    problems: tuple[Problem, ...] = ()


NO_TEAMS = TeamFiles()


def team_file(namespace: str, config_map: str = "", key: str = "") -> str:
    """The name of a file; without ``key`` or ``config_map``, of a whole ConfigMap or namespace."""
    return _PREFIX + "/".join(part for part in (namespace, config_map, key) if part)


def team(file: str) -> str | None:
    """Return the namespace of the team that owns the file; None for the platform's files."""
    return file.removeprefix(_PREFIX).partition("/")[0] if file.startswith(_PREFIX) else None


def foreign_sources(root: Node, file: str) -> Iterator[Problem]:
    """Yield a problem for sources in a team's file."""
    if team(file) is not None and root.get("sources"):
        yield root.key("sources").problem(
            "sources",
            "a ConfigMap of a team must not define sources: they would be opened with the permissions of retrainer",
            "ask the platform team to define it, and use its name",
        )


def settled(rule: Rule, file: str) -> Rule | Violation:
    """Return the rule as it runs: a team's rule runs in the team's namespace."""
    namespace = team(file)
    if namespace is None:
        return rule
    if rule.submit.namespace not in (None, namespace):
        return Violation(
            (),  # not at `namespace`: that may be in a template of the platform
            f"a rule from a ConfigMap in {namespace} runs there, not in `{rule.submit.namespace}`",
            "remove `namespace`, or ask the platform team to add the rule to its files",
        )
    return rule.model_copy(update={"submit": rule.submit.model_copy(update={"namespace": namespace})})
