"""A compiled rule: expressions compiled, globs turned into patterns, schedules parsed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from retrainer.rules.calendars import Period, period_of
from retrainer.rules.compile_triggers import CompiledAfter, CompiledThreshold, compile_afters, compile_thresholds
from retrainer.rules.condition import ConditionGroup, compile_condition, longest_within
from retrainer.rules.cron import Slots
from retrainer.rules.expression import LONGEST_KEY, Program, compile_cel, event_scope, name_by
from retrainer.rules.match import Condition, conditions
from retrainer.rules.parameters import ParameterTemplate, compile_template
from retrainer.rules.self_trigger import OwnOutputs, own_outputs
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.config.models import Batch, Calendar, Data, Freshness, Rule, Schedule
    from retrainer.event import Event
    from retrainer.rules.expression import StepBudget


@dataclass(frozen=True, slots=True)
class CompiledData:
    """A data trigger of a rule."""

    rule: str
    name: str
    source: str
    conditions: tuple[Condition, ...]
    where: Program | None
    rows: Program | None
    distinct: Program | None
    by: Program | None
    own: OwnOutputs
    batch: Batch

    @property
    def counts_bytes(self) -> bool:
        """Whether `at_least` of the batch has a limit in bytes."""
        return self.batch.at_least is not None and self.batch.at_least.bytes is not None

    def wants(self, event: Event, balance: StepBudget | None = None) -> bool:
        """Whether `where` is true for the event. Raise ValueError if it cannot be evaluated."""
        if self.where is None:
            return True
        answer = self.where.evaluate({"event": event_scope(event)}, balance)
        if not isinstance(answer, bool):
            raise ValueError(f"`{self.where.text}` is {type(answer).__name__}, not true or false")  # noqa: TRY004
        return answer

    def key(self, event: Event, balance: StepBudget | None = None) -> str:
        """The key of `for_each`; empty for a rule without `for_each`. Raise ValueError if the event has no key."""
        if self.by is None:
            return ""
        return name_by(self.by, event, LONGEST_KEY, "a key", balance=balance)

    def distinct_value(self, event: Event, balance: StepBudget | None = None) -> str:
        """The value that `distinct_by` counts once; empty without `distinct_by`. Raise ValueError if there is none."""
        if self.distinct is None:
            return ""
        return name_by(self.distinct, event, 2000, "a thing that counts once", printable=False, balance=balance)

    def measure(self, event: Event, balance: StepBudget | None = None) -> tuple[int, int]:
        """Bytes and rows that the event adds. Raise ValueError if they cannot be read.

        An invalid size counts as 0 for a trigger that does not count bytes: the field may mean something else.
        """
        size, rows = event.data.get("size", 0), 0
        if self.rows is not None:
            given = self.rows.evaluate({"event": event_scope(event)}, balance)
            try:
                rows = values.rows(given)
            except ValueError as error:
                raise ValueError(f"`{self.rows.text}` {error}") from None
        if type(size) is int and 0 <= size <= values.MOST:
            return size, rows
        try:
            return values.amount(size), rows
        except ValueError as error:
            if not self.counts_bytes and not isinstance(error, values.TooLargeError):
                return 0, rows
            raise


@dataclass(frozen=True, slots=True)
class CompiledSchedule:
    """A schedule trigger of a rule."""

    name: str
    slots: Slots
    schedule: Schedule


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

    ``mutes`` are the calendars of `mute`. ``promoted`` and ``cost`` are evaluated on a run's outputs.
    """

    rule: Rule
    revision: str
    data: Mapping[str, CompiledData]
    schedules: Mapping[str, CompiledSchedule]
    parameters: Mapping[str, ParameterTemplate]
    paused: bool = False
    gauges: Mapping[str, CompiledThreshold] = field(default_factory=dict)
    freshness: Mapping[str, Freshness] = field(default_factory=dict)
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

    def of_key(self, key: str) -> CompiledRule:
        """The rule as evaluated for a key. With `for_each`, the empty key only holds the schedules and has no model."""
        return replace(self, freshness={}, gauges={}, afters={}) if self.per_key and not key else self


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
    return CompiledRule(
        rule,
        "",
        {name: _data(rule.name, name, t.data, by.get(name)) for name, t in rule.triggers.items() if t.data},
        {
            name: CompiledSchedule(name, Slots(t.schedule, calendars), t.schedule)
            for name, t in rule.triggers.items()
            if t.schedule
        },
        parameters={name: compile_template(value) for name, value in rule.submit.parameters.items()},
        gauges=compile_thresholds(rule, by),
        freshness={name: t.freshness for name, t in rule.triggers.items() if t.freshness},
        afters=compile_afters(rule),
        when=_when(rule),
        mutes=tuple((name, period_of(calendars[name])) for name in dict.fromkeys(rule.limits.mute)),
        promoted=compile_cel(rule.feedback.promoted) if rule.feedback and rule.feedback.promoted else None,
        cost=compile_cel(rule.cost.gpu_hours) if rule.cost else None,
    )


def _data(rule: str, name: str, asked: Data, by: Program | None) -> CompiledData:
    return CompiledData(
        rule=rule,
        name=name,
        source=asked.source,
        conditions=conditions(asked.match),
        where=compile_cel(asked.where) if asked.where else None,
        rows=compile_cel(asked.rows) if asked.rows else None,
        distinct=compile_cel(asked.distinct_by) if asked.distinct_by else None,
        by=by,
        own=own_outputs(asked.ignore_own_outputs),
        batch=asked.batch,
    )


def _when(rule: Rule) -> When:
    if rule.when is None:
        return When(unless=tuple(rule.unless))
    condition = compile_condition(rule.when)
    fleeting = frozenset(name for name, t in rule.triggers.items() if t.schedule or t.data or t.after)
    lasting = {name: longest_within(condition, name) for name, t in rule.triggers.items() if t.schedule}
    expires = {name: seconds for name, seconds in lasting.items() if seconds}
    return When(condition, tuple(rule.unless), fleeting, expires)
