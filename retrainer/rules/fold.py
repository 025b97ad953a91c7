"""The first half of `step`: what an input changes in the state, before anything is weighed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.rules.outcome import (
    Arrived,
    Birth,
    Decision,
    Ended,
    Input,
    Kind,
    Manual,
    Reason,
    Reopened,
    Resumed,
    SlotDue,
    SlotRecord,
    Unrendered,
)
from retrainer.rules.state import NOTHING, Asked, Came, Cursor, State
from retrainer.rules.triggers.schedule import first_cursor, queue, tick
from retrainer.runs.retry import again, wait
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import Counted, Window

_NOTHING = (0, 0, 0)
Folded = tuple[State, list[Decision], list[SlotRecord]]


def first_state(rule: CompiledRule, key: str, now: float) -> State:
    """A (rule, key) that was never seen. Under `for_each` the schedules live with the empty key and speak for all."""
    own_schedules = {} if rule.per_key and key else rule.schedules
    return State(
        seen_at=now, cursors={name: first_cursor(t, f"{rule.name}/{name}", now) for name, t in own_schedules.items()}
    )


def revise(rule: CompiledRule, key: str, state: State, now: float) -> State:
    """The rule was edited: triggers that are gone lose what they held, new ones begin now."""
    fresh = first_state(rule, key, now)
    schedules = {
        name: replace(fresh.cursors.get(name) or Cursor(now, None), due=cursor.due)
        for name, cursor in state.cursors.items()
        if name in rule.schedules
    }
    return replace(
        state,
        cursors={**fresh.cursors, **schedules},
        windows={name: w for name, w in state.windows.items() if name in rule.data},
        due=None,
    )


def advance(rule: CompiledRule, state: State, now: float) -> tuple[State, list[SlotRecord], list[SlotDue]]:
    """Move the schedules up to now."""
    records: list[SlotRecord] = []
    fan_out: list[SlotDue] = []
    for name, cursor in state.cursors.items():
        if cursor.next_at is None or now < cursor.next_at or name not in rule.schedules:
            continue
        ticked = tick(rule.schedules[name], f"{rule.name}/{name}", cursor, now)
        records += ticked.records
        moved = ticked.cursor
        if rule.per_key:
            fan_out += [SlotDue(name, slot) for slot in ticked.due]
        elif ticked.due:
            moved, dropped = queue(rule.schedules[name], moved, ticked.due)
            records += dropped
        state = replace(state, cursors={**state.cursors, name: moved})
    return state, records, fan_out


def fold(rule: CompiledRule, state: State, given: Input, now: float) -> Folded:
    """Fold one input in; the decisions and records are those the input itself brings."""
    match given:
        case Arrived():
            return _arrived(state, given, now), [], []
        case SlotDue():
            return _slot_due(rule, state, given, now)
        case Ended():
            return _ended(rule, state, given, now)
        case Reopened():
            return replace(state, active=state.active + 1), [], []
        case Manual():
            return replace(state, asked=Asked(given.parameters)), [], []
        case Resumed():
            return replace(state, broken=False, failures=0), [], []
        case Unrendered():
            return _unrendered(state, given, now)
        case _:
            return state, [], []


def _arrived(state: State, given: Arrived, now: float) -> State:
    windows = dict(state.windows)
    total = _came(given, given.total)
    for name, counted in given.counts.items():
        came = total if counted == given.total else _came(given, counted)
        windows[name] = windows.get(name, NOTHING).add(came, now, state.taken_hi)
    return state.heard(state.window.add(total, now, state.taken_hi), windows, now)


def _came(given: Arrived, counted: Counted) -> Came:
    parts = {given.part: (given.offset, given.offset)} if given.part else {}
    return Came(*counted, given.time, given.time, given.label, given.label, given.seq, given.seq, parts)


def _slot_due(rule: CompiledRule, state: State, given: SlotDue, now: float) -> Folded:
    trigger = rule.schedules.get(given.trigger)
    if trigger is None:
        return state, [], []
    cursor = state.cursors.get(given.trigger) or Cursor(now, None)
    cursor, dropped = queue(trigger, cursor, (given.slot,))
    return replace(state, cursors={**state.cursors, given.trigger: cursor}), [], dropped


def _ended(rule: CompiledRule, state: State, given: Ended, now: float) -> Folded:
    retry = rule.rule.submit.retry
    if not given.by_request and retry is not None and again(retry, given.phase, given.attempt):
        at = now + wait(retry.backoff, given.attempt)
        birth = Birth("retry", given.window, given.taken, not_before=at, retry_of=given.run)
        detail = f"attempt {given.attempt + 1} of {retry.limit + 1} after {given.phase}"
        return state, [Decision(Kind.FIRE, Reason.RETRY, detail, birth=birth)], []
    active = max(state.active - 1, 0)
    state = replace(state, active=active, stopping=state.stopping and active > 0, last_completed=now)
    if given.phase is RunPhase.SUCCEEDED:
        return replace(state, last_succeeded=now, failures=0), [], []
    if given.phase is not RunPhase.CANCELLED:
        failures = state.failures + 1
        limit = rule.rule.limits.pause_after_failures
        state = replace(state, failures=failures, broken=state.broken or (limit is not None and failures >= limit))
    if rule.rule.submit.consume == "succeeded":
        taken = {name: w.less(given.recounted.get(name, _NOTHING)) for name, w in given.taken.items()}
        state = give_back(state, given.window.less(given.recounted.get("", _NOTHING)), taken, now)
    return state, [], []


def _unrendered(state: State, given: Unrendered, now: float) -> Folded:
    state = replace(state, active=max(state.active - 1, 0), lapsed=True)
    state = give_back(state, given.birth.window, given.birth.taken, now)
    return state, [Decision(Kind.SKIP, Reason.BAD_PARAMETERS, given.message)], []


def give_back(state: State, window: Window, taken: Mapping[str, Window], now: float) -> State:
    """What a run took joins the next window."""
    windows = dict(state.windows)
    for name, returned in taken.items():
        windows[name] = windows.get(name, NOTHING).give_back(returned, now, state.taken_hi)
    return replace(state, window=state.window.give_back(window, now, state.taken_hi), windows=windows)
