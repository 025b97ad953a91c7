"""Warnings for valid rules that are probably wrong: rules that never fire, and rules that race for one template."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from retrainer.rules.condition import holds
from retrainer.rules.limits import muted_until
from retrainer.util.counts import many
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.triggers.schedule import CompiledSchedule

SLOTS = 1000
"""Slots of a schedule that are checked."""


class Advice(NamedTuple):
    """``rule`` is the name of a rule or source, ``path`` the place in it."""

    rule: str
    path: str
    message: str
    hint: str


def lint(
    rules: Sequence[CompiledRule], now: float, pools: Mapping[str, int], beside: Sequence[CompiledRule] = ()
) -> Iterator[Advice]:
    """Check the rules as they would behave from ``now`` on. ``pools`` has the slots of each pool.

    They are also compared with the rules ``beside`` them, of which nothing else is reported.
    """
    for rule in rules:
        if not rule.paused:
            yield from _never(rule, now)
        pool = rule.rule.limits.pool
        if pool is not None and not pools.get(pool):
            yield Advice(
                rule.name, "limits.pool", f"{pool} has no slots, so no run ever starts", "give it at least one"
            )
    own = {rule.name for rule in rules}
    yield from (advice for advice in _races([*rules, *beside], pools) if advice.rule in own)


def _never(rule: CompiledRule, now: float) -> Iterator[Advice]:
    dead = set()
    for name, trigger in rule.schedules.items():
        problem = _dead_schedule(rule, trigger, now)
        if problem is not None:
            dead.add(name)
            yield Advice(rule.name, f"triggers.{name}.schedule", *problem)
    yield from _muted(rule, now)
    condition = rule.when.condition
    alive = {name: now for name in rule.rule.triggers if name not in dead and name not in rule.when.unless}
    if condition is not None and dead and not holds(condition, alive, frozenset(), now):
        yield Advice(
            rule.name, "when", f"can never be true without {', '.join(sorted(dead))}", "change the schedule, or `when`"
        )
    for name, data in rule.data.items():
        if data.where is not None and not data.where.variables and data.where.evaluate({}) is False:
            yield Advice(rule.name, f"triggers.{name}.data.where", "it is always false", "remove the trigger")


def _dead_schedule(rule: CompiledRule, trigger: CompiledSchedule, now: float) -> tuple[str, str] | None:
    deadline = rule.rule.limits.deadline
    may_outlast = deadline is not None and bool(rule.mutes)
    if not trigger.slots.calendars and not may_outlast:  # a thousand slots take as long as the rest of a rule
        return None
    slots = trigger.slots.between(now, now + 5 * 366 * 86400, SLOTS)
    if slots and all(trigger.slots.excepted(slot) is not None for slot in slots):
        calendars = ", ".join(trigger.schedule.except_)
        return (
            f"never fires: each of its next {many(len(slots), 'slot')} lies in {calendars}",
            "change the cron, or the calendar",
        )
    if deadline is None or not may_outlast:
        return None
    for slot in slots:
        until = muted_until(rule, slot)
        if until is None or (until > slot and until - slot < deadline):
            return None
    names = ", ".join(name for name, _ in rule.mutes)
    return f"never fires: {names} mutes each slot for longer than the deadline", "lengthen the deadline, or the pauses"


def _muted(rule: CompiledRule, now: float) -> Iterator[Advice]:
    for i, (name, period) in enumerate(rule.mutes):
        if period.contains(now) and period.next_change(now) is None:
            yield Advice(rule.name, f"limits.mute[{i}]", f"{name} never ends, so no run ever starts", "correct it")
        elif not period.contains(now) and period.next_change(now) is None:
            detail = f"{name} ended before {moment(now)}, so it mutes nothing"
            yield Advice(rule.name, f"limits.mute[{i}]", detail, "remove it, or renew its dates")


def _races(rules: Iterable[CompiledRule], pools: Mapping[str, int]) -> Iterator[Advice]:
    """Two rules that start one template in one namespace may run at the same time, and write the same model."""
    by_target: dict[tuple[str, str, str], list[CompiledRule]] = defaultdict(list)
    for rule in rules:
        submit = rule.rule.submit
        target = submit.workflow_template or submit.cluster_workflow_template
        if target and rule.rule.mode == "active":
            by_rule = any("rule" in t.variables for t in rule.parameters.values())
            fixed = repr(sorted((n, t.parts) for n, t in rule.parameters.items() if not t.variables))
            fixed += rule.name if by_rule else ""
            by_target[submit.namespace or "", target, fixed].append(rule)
    for (_, target, _), racing in by_target.items():
        used = {rule.rule.limits.pool for rule in racing}
        together = len(used) > 1 or any(pool is None or pools.get(pool, 0) > 1 for pool in used)
        if len(racing) > 1 and together:
            others = ", ".join(rule.name for rule in racing[1:])
            yield Advice(
                racing[0].name,
                "submit",
                f"starts {target} as {others} does, with the same fixed parameters: they may run at once",
                "give them one pool of one slot, or merge them into one rule",
            )
