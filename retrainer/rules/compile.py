"""A compiled rule: expressions compiled, globs turned into patterns, schedules parsed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from retrainer.rules.calendars import Period, period_of
from retrainer.rules.condition import ConditionGroup, compile_condition, longest_within
from retrainer.rules.expression import Program, compile_cel
from retrainer.rules.parameters import ParameterTemplate, compile_template
from retrainer.rules.triggers.after import CompiledAfter
from retrainer.rules.triggers.data import CompiledData
from retrainer.rules.triggers.kind import CompiledTrigger, TriggerContext
from retrainer.rules.triggers.registry import kinds_of
from retrainer.rules.triggers.schedule import CompiledSchedule
from retrainer.rules.triggers.threshold import CompiledThreshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.config.models import Calendar, Rule

T = TypeVar("T", bound=CompiledTrigger)


@dataclass(frozen=True, slots=True)
class When:
    """How triggers make the rule due. ``condition`` is None if any one of them is enough.

    ``fleeting`` are the triggers that `within` of a group applies to. ``expires`` has the seconds after which the slots
    of a schedule count nowhere; schedules without such a limit are left out.
    """

    condition: ConditionGroup | None = None
    unless: tuple[str, ...] = ()
    fleeting: frozenset[str] = frozenset()
    expires: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule and everything compiled from it. ``paused``: paused manually, or by `mode: paused`.

    ``triggers`` are all of them, in the order of the kinds. ``others`` are those whose state, if they have one, is not
    a window, a cursor or an upstream run; ``gauges`` are those of them with a threshold. ``mutes`` are the calendars of
    `mute`. ``promoted`` and ``cost`` are evaluated on a run's outputs.
    """

    rule: Rule
    revision: str
    triggers: Mapping[str, CompiledTrigger]
    data: Mapping[str, CompiledData]
    schedules: Mapping[str, CompiledSchedule]
    parameters: Mapping[str, ParameterTemplate]
    paused: bool = False
    gauges: Mapping[str, CompiledThreshold] = field(default_factory=dict)
    others: Mapping[str, CompiledTrigger] = field(default_factory=dict)
    afters: Mapping[str, CompiledAfter] = field(default_factory=dict)
    when: When = When()
    mutes: tuple[tuple[str, Period], ...] = ()
    promoted: Program | None = None
    cost: Program | None = None

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def per_key(self) -> bool:
        return self.rule.for_each is not None

    @property
    def distinct(self) -> bool:
        """Whether a trigger uses `distinct_by`."""
        return any(trigger.distinct is not None for trigger in self.data.values())

    @property
    def starts_alone(self) -> bool:
        """Whether a trigger may become satisfied without any input, though it has no schedule."""
        return any(trigger.starts_alone for trigger in self.others.values())

    def of_key(self, key: str) -> CompiledRule:
        """The rule as evaluated for a key. With `for_each`, the empty key only holds the schedules and has no model."""
        if key or not self.per_key:
            return self
        return replace(self, triggers={**self.schedules, **self.data}, gauges={}, others={}, afters={})


@dataclass(frozen=True, slots=True)
class _Kept:
    rule: Rule
    calendars: Mapping[str, Calendar]
    compiled: CompiledRule


_KEPT: dict[str, _Kept] = {}
MOST_KEPT = 50_000
"""Compiled rules kept by name: the engine reuses what the loader compiled, and an edit recompiles only its own rule."""


def compile_rule(rule: Rule, revision: str, calendars: Mapping[str, Calendar], *, paused: bool = False) -> CompiledRule:
    """Compile, or reuse the last result. Raise ValueError with a message for the first part that does not compile."""
    used = {name: calendars[name] for name in _calendars(rule)}
    kept = _KEPT.get(rule.name)
    if kept is None or (kept.rule is not rule and kept.rule != rule) or kept.calendars != used:
        if len(_KEPT) >= MOST_KEPT:
            _KEPT.clear()
        kept = _KEPT[rule.name] = _Kept(rule, used, _compile(rule, used))
    return replace(kept.compiled, rule=rule, revision=revision, paused=paused or rule.mode == "paused")


def _calendars(rule: Rule) -> set[str]:
    excepted = {name for trigger in rule.triggers.values() if trigger.schedule for name in trigger.schedule.except_}
    return excepted | set(rule.limits.mute)


def _compile(rule: Rule, calendars: Mapping[str, Calendar]) -> CompiledRule:
    by = {name: compile_cel(text) for name, text in (rule.for_each.by if rule.for_each else {}).items()}
    compiled = {
        name: kind.compile(model, TriggerContext(rule.name, name, by.get(name), calendars))
        for name, trigger in rule.triggers.items()
        for _, kind, model in kinds_of(trigger)
    }
    data, schedules = _only(CompiledData, compiled), _only(CompiledSchedule, compiled)
    gauges, afters = _only(CompiledThreshold, compiled), _only(CompiledAfter, compiled)
    by_input = {**schedules, **data, **afters}
    others = {**gauges, **{name: trigger for name, trigger in compiled.items() if name not in by_input}}
    return CompiledRule(
        rule,
        "",
        {**schedules, **data, **others, **afters},
        data,
        schedules,
        parameters={name: compile_template(value) for name, value in rule.submit.parameters.items()},
        gauges=gauges,
        others=others,
        afters=afters,
        when=_when(rule),
        mutes=tuple((name, period_of(calendars[name])) for name in dict.fromkeys(rule.limits.mute)),
        promoted=compile_cel(rule.feedback.promoted) if rule.feedback and rule.feedback.promoted else None,
        cost=compile_cel(rule.cost.gpu_hours) if rule.cost else None,
    )


def _only(kind: type[T], triggers: Mapping[str, CompiledTrigger]) -> dict[str, T]:
    return {name: trigger for name, trigger in triggers.items() if isinstance(trigger, kind)}


def _when(rule: Rule) -> When:
    if rule.when is None:
        return When(unless=tuple(rule.unless))
    condition = compile_condition(rule.when)
    fleeting = frozenset(name for name, t in rule.triggers.items() if any(kind.fleeting for _, kind, _ in kinds_of(t)))
    lasting = {name: longest_within(condition, name) for name, t in rule.triggers.items() if t.schedule}
    expires = {name: seconds for name, seconds in lasting.items() if seconds}
    return When(condition, tuple(rule.unless), fleeting, expires)
