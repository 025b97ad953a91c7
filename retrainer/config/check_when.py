"""Checks of `when` and `unless` that their models cannot express."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.examples import flow
from retrainer.config.models import Group
from retrainer.config.models.base import written_duration
from retrainer.config.violation import Violation, exactly_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import Condition, Rule, Trigger
    from retrainer.config.tree import Path

DEEPEST = 8
_FLATTER = "write `{any: [{any: [a]}, b]}` as `{any: [a, b]}`; the same for `all`"


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
                f"add `{name}` to `when`, or remove the trigger `{name}`",
                of_key=True,
            )


def _group(path: Path, group: Group, rule: Rule, depth: int) -> Iterator[Violation]:
    yield from exactly_one(path, group, ("any", "all", "at_least"), _nested(group))
    if depth > DEEPEST:
        yield Violation(path, f"groups nested deeper than {DEEPEST}", _FLATTER)
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
                _not_in_unless(name, trigger, rule),
            )


def _not_in_unless(name: str, trigger: Trigger, rule: Rule) -> str:
    if trigger.schedule:
        return f"remove `{name}`, and add the times to `limits: {{mute: [CALENDAR]}}`"
    named = rule.when is None or name in _names(rule.when)
    return f"remove `{name}`" + ("" if named else " and its trigger; or name it in `when`, if it is to start runs")


def _nested(group: Group) -> str:
    """What to write instead of `any` and `all` in one group: one of them in the other."""
    if not (group.any and group.all) or group.at_least is not None:
        return "nest one in the other"
    one, every = [_plain(member) for member in group.any], [_plain(member) for member in group.all]
    within = _within(group)  # stays with `all`
    return f"write {flow({'any': [*one, {'all': every} | within]})} or {flow({'all': [*every, {'any': one}]} | within)}"


def _plain(member: Condition) -> object:
    if not isinstance(member, Group):
        return member
    return member.model_dump(exclude_unset=True, by_alias=True) | _within(member)


def _within(group: Group) -> dict[str, object]:
    return {} if group.within is None else {"within": written_duration(group.within)}


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
