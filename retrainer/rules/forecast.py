"""What `step` will decide for one (rule, key) if nothing arrives: no event, value, request or run of another rule.

Each run is assumed to succeed, and to take as long as runs of the rule usually do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from retrainer.rules.budget import Spent
from retrainer.rules.decide import step
from retrainer.rules.evaluate import evaluate
from retrainer.rules.explain import explain
from retrainer.rules.fold import advance
from retrainer.rules.limits import blocking_limit
from retrainer.rules.outcome import Decision, Ended, Input, Kind, Reason, Step, Wake
from retrainer.rules.triggers.schedule import tick
from retrainer.rules.window import NOTHING
from retrainer.runs.run import RunPhase
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget
    from retrainer.rules.state import State


class Coming(StrEnum):
    """What comes: a slot, a trigger that time satisfies, the end of what holds the rule, or a request that waits."""

    SCHEDULE = "schedule"
    DATA = "data"
    METRIC = "metric"
    ALERT = "alert"
    FRESHNESS = "freshness"
    AFTER = "after"
    COOLDOWN = "cooldown"
    CALENDAR = "calendar"
    BUDGET = "budget"
    OVERLAP = "overlap"
    DEADLINE = "deadline"
    RETRY = "retry"
    MANUAL = "manual"
    BACKFILL = "backfill"
    OTHER = "other"


_KINDS: Mapping[Reason, Coming] = {
    Reason.SCHEDULE: Coming.SCHEDULE,
    Reason.BATCH_COMPLETE: Coming.DATA,
    Reason.THRESHOLD: Coming.METRIC,
    Reason.ALERT: Coming.ALERT,
    Reason.STALE: Coming.FRESHNESS,
    Reason.UPSTREAM: Coming.AFTER,
    Reason.COOLDOWN: Coming.COOLDOWN,
    Reason.MUTED: Coming.CALENDAR,
    Reason.BUDGET: Coming.BUDGET,
    Reason.OVERLAP: Coming.OVERLAP,
    Reason.DEADLINE: Coming.DEADLINE,
    Reason.RETRY: Coming.RETRY,
    Reason.MANUAL: Coming.MANUAL,
    Reason.BACKFILL: Coming.BACKFILL,
}
_SILENT = (Reason.SUPERSEDED, Reason.MISSED)
_Slot = tuple[str, float]


@dataclass(frozen=True, slots=True)
class ForecastEntry:
    """A decision at ``at`` (epoch seconds), and what comes then.

    ``slot`` is that of the schedule ``trigger``. ``every_key``: the slot is passed on to each key, which decides by
    itself. ``clock`` says what a change of the clock does to the slot.
    """

    at: float
    kind: Coming
    decision: Kind
    reason: Reason
    detail: str
    until: float | None = None
    trigger: str = ""
    slot: float | None = None
    every_key: bool = False
    clock: str = ""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is known about runs of a rule: usual ``seconds`` and GPU ``hours``, and how its own ``budget`` stands.

    ``budget`` gets a time and the runs assumed to have started; it returns None if the rule has no budget of its own.
    """

    seconds: float = 0.0
    hours: float = 0.0
    budget: Callable[[float, Sequence[Spent]], RemainingBudget | None] = lambda _at, _assumed: None


class Forecast:
    """The decisions to come for one (rule, key). ``next_at`` is the time of the next step, None if there is none."""

    def __init__(
        self, rule: CompiledRule, key: str, state: State, now: float, usual: Usual, ends: Sequence[float] = ()
    ) -> None:
        """``ends`` are the times at which the active runs are assumed to end."""
        self.rule, self.key = rule.of_key(key), key
        self._state, self._usual = state, usual
        self._ends: list[tuple[float, tuple[str, ...]]] = sorted((end, ()) for end in ends)
        self._assumed: list[Spent] = []
        self._held = self._reason_held(now) if state.due is not None or state.asked else None
        self.next_at = self._next(now)

    def go(self) -> list[ForecastEntry]:
        """Take the next step; return what it decides, in order."""
        assert self.next_at is not None  # noqa: S101 - for the type checker; the caller has compared it
        at, before = self.next_at, self._state
        given = self._given(at)
        self._state, done = step(self.rule, before, given, at, self._usual.budget(at, self._assumed))
        for decision in done.decisions:
            self._started(decision, at)
        entries = list(self._entries(before, given, done, at))
        self._held = next((d.reason for d in reversed(done.decisions) if d.kind is Kind.HOLD), None)
        if self._state.due is not None and not done.decisions:
            self._held = self._reason_held(at)
        self.next_at = self._next(None)
        return entries

    def _next(self, now: float | None) -> float | None:
        if self._state.quarantine is not None:
            return None
        end = self._ends[0][0] if self._ends else None
        moments = [at for at in (self._state.wake_at, end) if at is not None]
        found = min(moments, default=None)
        return found if found is None or now is None else max(found, now)

    def _given(self, at: float) -> Input:
        if self._ends and self._ends[0][0] <= at:
            end, triggers = heappop(self._ends)
            return Ended(
                "", RunPhase.SUCCEEDED, 1, by_request=False, window=NOTHING, taken={}, triggers=triggers, at=end
            )
        return Wake()

    def _started(self, decision: Decision, at: float) -> None:
        if decision.kind is Kind.FIRE and decision.new_run is not None:
            heappush(self._ends, (at + self._usual.seconds, decision.new_run.triggers))
            self._assumed.append(Spent(at, self._usual.hours, reserved=True))

    def _reason_held(self, at: float) -> Reason | None:
        inhibiting = evaluate(self.rule, self._state, at).inhibiting
        remaining = self._usual.budget(at, self._assumed)
        asked = self._state.asked[0] if self._state.asked and self._state.due is None else None
        held = blocking_limit(self.rule, self._state, at, inhibiting, remaining, asked)
        return None if held is None else held.reason

    def _entries(self, before: State, given: Input, done: Step, at: float) -> Iterator[ForecastEntry]:
        slots = [] if self.rule.per_key else list(self._due(before, at))
        for record in done.slots:
            if record.outcome == "skipped" and record.decision is None and record.reason not in _SILENT:
                yield self._of_slot(before, (record.trigger, record.slot), at, Kind.SKIP, record.reason)
        for due in done.fan_out:
            found = self._of_slot(before, (due.trigger, due.slot), at, Kind.FIRE, Reason.SCHEDULE)
            yield replace(found, every_key=True)
        for decision in done.decisions:
            if decision.kind is not Kind.HOLD or slots or before.due is None or decision.reason is not self._held:
                yield self._of_decision(before, given, slots, decision, at)
        if slots and not done.decisions:
            yield self._waits(before, slots[0], at)

    def _due(self, before: State, at: float) -> Iterator[_Slot]:
        for name, cursor in before.cursors.items():
            if cursor.next_at is not None and cursor.next_at <= at and name in self.rule.schedules:
                for slot in tick(self.rule.schedules[name], f"{self.rule.name}/{name}", cursor, at).due:
                    yield name, slot

    def _of_slot(self, before: State, slot: _Slot, at: float, kind: Kind, reason: Reason) -> ForecastEntry:
        name, when = slot
        schedule = self.rule.schedules.get(name)
        detail, clock = f"slot {moment(when)} of {name}", ""
        if schedule is not None:
            calendar = schedule.slots.excepted(when)
            detail += f" is in calendar {calendar}" if calendar and reason is Reason.CALENDAR else ""
            clock = schedule.slots.clock_change(when, before.cursors[name].at if name in before.cursors else at)
        return ForecastEntry(at, Coming.SCHEDULE, kind, reason, detail, None, name, when, clock=clock)

    def _of_decision(
        self, before: State, given: Input, slots: Sequence[_Slot], decision: Decision, at: float
    ) -> ForecastEntry:
        if slots:
            found = self._of_slot(before, slots[0], at, decision.kind, decision.reason)
            detail = found.detail if decision.kind is Kind.FIRE else decision.detail
            return replace(found, detail=detail, until=decision.until)
        kind = self._kind(before, given, decision, at)
        trigger = decision.new_run.trigger if decision.new_run is not None else ""
        return ForecastEntry(at, kind, decision.kind, decision.reason, decision.detail, decision.until, trigger)

    def _kind(self, before: State, given: Input, decision: Decision, at: float) -> Coming:
        if decision.reason in (Reason.DEADLINE, Reason.RETRY):
            return _KINDS[decision.reason]
        if isinstance(given, Ended):
            return Coming.OVERLAP
        if self._held is not None:
            return _KINDS.get(self._held, Coming.OTHER)
        verdicts = evaluate(self.rule, advance(self.rule, before, at)[0], at).satisfied.values()
        return _KINDS.get(next((v.reason for v in verdicts), decision.reason), Coming.OTHER)

    def _waits(self, before: State, slot: _Slot, at: float) -> ForecastEntry:
        """A slot that makes nothing due alone, because `when` needs more."""
        found = explain(self.rule, self.key, self._state, at, self._usual.budget(at, self._assumed))
        entry = self._of_slot(before, slot, at, Kind(found["decision"]), Reason(found["reason"]))
        return replace(entry, detail=found["detail"], until=found["until"])
