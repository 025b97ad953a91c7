"""Apply a decision to the state of its (rule, key)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.rules.outcome import Decision, Kind, Reason, SlotRecord
from retrainer.rules.state import Cursor, Due, State
from retrainer.rules.threshold_state import ThresholdState
from retrainer.rules.triggers.level import answered
from retrainer.rules.window import NOTHING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.evaluate import Evaluation


def apply(
    rule: CompiledRule, state: State, evaluation: Evaluation, decision: Decision, now: float
) -> tuple[State, list[SlotRecord]]:
    """Return the state after the decision, and the records of the slots that it settles."""
    asked = decision.asked
    if decision.kind is Kind.HOLD:
        if state.due is None and evaluation.due and not (asked and asked.backfill):
            reason = next(verdict.reason for verdict in evaluation.satisfied.values())
            state = state.but(due=Due(now, tuple(evaluation.satisfied), reason.value))
        return state, []
    if asked is not None:
        state = state.but(asked=state.asked[1:])  # the decision answers this request
    if decision.kind is Kind.SKIP:
        return (state, []) if asked is not None else _skip(rule, state, evaluation, decision.reason, now)
    if asked is not None and asked.scheduled_at is not None:  # a backfill slot takes no data
        record = SlotRecord(asked.trigger, asked.scheduled_at, "fired", decision.reason, asked.scheduled_at)
        return state.but(active=state.active + 1, last_fired=now), [record]
    return _fire(rule, state, evaluation, decision, now)


def _skip(
    rule: CompiledRule, state: State, evaluation: Evaluation, reason: Reason, now: float
) -> tuple[State, list[SlotRecord]]:
    """The rule is no longer due. Pending data is kept."""
    records = [SlotRecord(n, slot, "skipped", reason, slot) for n, c in state.cursors.items() for slot in c.due]
    if reason is Reason.DEADLINE:
        state = replace(_answer(rule, state, evaluation, now), lapsed=True, gave_up_at=now, followed={})
    cursors = {name: replace(cursor, due=()) for name, cursor in state.cursors.items()}
    return replace(state, cursors=cursors, due=None), records


def _fire(
    rule: CompiledRule, state: State, evaluation: Evaluation, decision: Decision, now: float
) -> tuple[State, list[SlotRecord]]:
    """Take all pending data. In shadow mode no run is created; the state changes as if one had succeeded at once."""
    cursors, records = _settle_oldest(state, decision.reason)
    taken_hi = max(state.taken_hi, state.window.ranges[-1][1]) if state.window.ranges else state.taken_hi
    started = decision.new_run is not None
    state = _answer(rule, state, evaluation, None if started else now)
    state = state.but(
        window=NOTHING,
        windows={},
        cursors=cursors,
        followed={},
        taken_hi=taken_hi,
        due=None,
        active=state.active + started,
        last_fired=now,
        last_completed=state.last_completed if started else now,
        last_succeeded=state.last_succeeded if started else now,
        last_promoted=state.last_promoted if started else now,
        lapsed=False,
        refused="",
    )
    return state, records


def _answer(rule: CompiledRule, state: State, evaluation: Evaluation, ended_at: float | None) -> State:
    """Mark the satisfied metrics and alerts as answered. One that cleared after the rule became due is left alone."""
    helped = evaluation.satisfied.keys() & rule.gauges.keys()
    if not helped:
        return state
    gauges = {name: answered(state.gauges.get(name) or ThresholdState(), ended_at) for name in helped}
    return replace(state, gauges={**state.gauges, **gauges})


def _settle_oldest(state: State, reason: Reason) -> tuple[Mapping[str, Cursor], list[SlotRecord]]:
    """The run consumes the oldest due slot of each schedule. In shadow mode the slot is recorded as skipped."""
    outcome = "skipped" if reason is Reason.SHADOW else "fired"
    records = [
        SlotRecord(name, c.due[0], outcome, reason, c.due[0])  # type: ignore[arg-type]
        for name, c in state.cursors.items()
        if c.due
    ]
    if not records:
        return state.cursors, records
    return {name: replace(c, due=c.due[1:]) if c.due else c for name, c in state.cursors.items()}, records
