"""How triggers combine: `when`, evaluated on the times since which triggers are satisfied."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from retrainer.config.models import Condition, Group

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class ConditionGroup:
    """True if ``n`` members are. ``within``: seconds for which a fleeting trigger counts in here, None for no limit."""

    n: int
    members: tuple[str | ConditionGroup, ...]
    within: float | None
    word: str

    def __str__(self) -> str:
        inner = ", ".join(m if isinstance(m, str) else f"({m})" for m in self.members)
        return f"{self.word} of {inner}"


def compile_condition(group: Group) -> ConditionGroup:
    """Compile a group of the configuration, which has exactly one of `any`, `all` and `at_least`."""
    if group.at_least is not None:
        of, n = group.at_least.of, group.at_least.n
        return ConditionGroup(n, _members(of), group.within, f"at least {n}")
    of = group.all or group.any or []
    return ConditionGroup(len(of) if group.all else 1, _members(of), group.within, "all" if group.all else "any")


def _members(of: list[Condition]) -> tuple[str | ConditionGroup, ...]:
    return tuple(compile_condition(m) if isinstance(m, Group) else m for m in of)


def names_in(condition: ConditionGroup) -> Iterator[str]:
    """Every trigger, as often as it is named."""
    for member in condition.members:
        if isinstance(member, str):
            yield member
        else:
            yield from names_in(member)


def holds(
    condition: ConditionGroup,
    since: Mapping[str, float],
    fleeting: frozenset[str],
    now: float,
    limit: float | None = None,
) -> bool:
    """Whether enough members are true at ``now``.

    ``since`` has the satisfied triggers, each with the time it became so. ``fleeting`` names those that `within`
    applies to. ``limit`` is the shortest `within` of the enclosing groups.
    """
    within = _shorter(condition.within, limit)
    true = 0
    for member in condition.members:
        if isinstance(member, ConditionGroup):
            true += holds(member, since, fleeting, now, within)
        elif member in since:
            true += within is None or member not in fleeting or now < since[member] + within
        if true >= condition.n:
            return True
    return False


def first_moment(
    condition: ConditionGroup, moments: Mapping[str, float], fleeting: frozenset[str], limit: float | None = None
) -> float | None:
    """When enough members are true, if each trigger is true from its time in ``moments`` on; None if never.

    The result may be in the past. ``fleeting`` and ``limit`` are as in `holds`.
    """
    span = _span(condition, moments, fleeting, limit)
    return None if span is None else span[0]


def _span(
    condition: ConditionGroup, moments: Mapping[str, float], fleeting: frozenset[str], limit: float | None
) -> tuple[float, float] | None:
    """The first period (start, end) in which enough members are true at once."""
    within = _shorter(condition.within, limit)
    spans: list[tuple[float, float]] = []
    for member in condition.members:
        if isinstance(member, ConditionGroup):
            span = _span(member, moments, fleeting, within)
            spans += [span] if span is not None else []
        elif member in moments:
            lasts = within if within is not None and member in fleeting else inf
            spans.append((moments[member], moments[member] + lasts))
    for start, _ in sorted(spans):
        ends = sorted((end for begin, end in spans if begin <= start < end), reverse=True)
        if len(ends) >= condition.n:
            return start, ends[condition.n - 1]
    return None


def longest_within(condition: ConditionGroup, name: str, limit: float | None = None) -> float | None:
    """The longest time for which a fleeting trigger counts in any group; None if one sets no limit."""
    within = _shorter(condition.within, limit)
    longest = 0.0
    for member in condition.members:
        if isinstance(member, ConditionGroup):
            if name not in names_in(member):
                continue
            found = longest_within(member, name, within)
        elif member == name:
            found = within
        else:
            continue
        if found is None:
            return None
        longest = max(longest, found)
    return longest


def missing(condition: ConditionGroup, satisfied: Collection[str]) -> list[str]:
    """Triggers that are not satisfied, in the order they are named."""
    return list(dict.fromkeys(name for name in names_in(condition) if name not in satisfied))


def _shorter(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else min(one, other)
