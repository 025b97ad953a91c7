"""Checks of `when` and `unless` that their models cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.models import Group
from retrainer.config.violation import Violation, exactly_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import Condition, Rule
    from retrainer.config.tree import Path

DEEPEST = 8


def check_when(rule: Rule) -> Iterator[Violation]:
    """Check that every trigger is used, and that each name is that of a trigger."""
    yield from _unless(rule)
    if rule.when is None:
        if rule.unless and set(rule.triggers) <= set(rule.unless):
            yield Violation(("unless",), "no trigger remains that could start a run", "remove one")
        return
    yield from _group(("when",), rule.when, rule, 1)
    used = set(_names(rule.when)) | set(rule.unless)
    for name in rule.triggers:
        if name not in used:
            yield Violation(
                ("triggers", name),
                f"`when` does not name `{name}`, so it does nothing",
                "add it, or remove it",
                of_key=True,
            )


def _group(path: Path, group: Group, rule: Rule, depth: int) -> Iterator[Violation]:
    yield from exactly_one(path, group, ("any", "all", "at_least"), "nest one in the other")
    if depth > DEEPEST:
        yield Violation(path, f"nested deeper than {DEEPEST} groups", "make it flatter")
        return
    for name in ("any", "all"):
        yield from _members((*path, name), getattr(group, name) or [], rule, depth)
    if group.at_least is not None:
        yield from _members((*path, "at_least", "of"), group.at_least.of, rule, depth)
        if group.at_least.n > len(group.at_least.of):
            yield Violation(
                (*path, "at_least", "n"),
                f"{group.at_least.n} of {len(group.at_least.of)} is impossible",
                f"write at most {len(group.at_least.of)}",
            )


def _members(path: Path, members: list[Condition], rule: Rule, depth: int) -> Iterator[Violation]:
    for i, member in enumerate(members):
        if isinstance(member, Group):
            yield from _group((*path, i), member, rule, depth + 1)
        elif member in rule.unless:
            yield Violation((*path, i), f"`{member}` is in `unless` already", "keep one")
        elif member not in rule.triggers:
            yield _unknown((*path, i), member, rule)


def _unless(rule: Rule) -> Iterator[Violation]:
    for i, name in enumerate(rule.unless):
        trigger = rule.triggers.get(name)
        if trigger is None:
            yield _unknown(("unless", i), name, rule)
        elif trigger.schedule or trigger.data or trigger.after:
            yield Violation(
                ("unless", i),
                f"`{name}` cannot be used in `unless`: only metric, alert and freshness triggers can",
                "for times use `limits: {mute: [calendar]}`",
            )


def _unknown(path: Path, name: str, rule: Rule) -> Violation:
    return Violation(
        path, f"there is no trigger `{name}`", did_you_mean(name, rule.triggers, "add it under `triggers:`")
    )


def _names(group: Group) -> Iterator[str]:
    several = group.at_least.of if group.at_least is not None else []
    for member in (*(group.any or ()), *(group.all or ()), *several):
        if isinstance(member, Group):
            yield from _names(member)
        else:
            yield member
