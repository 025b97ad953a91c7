"""What the end of a run changes: failures are counted, inputs are returned, a retry may follow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.rules.outcome import Decision, Ended, Kind, NewRun, Reason, SlotRecord, Unrendered
from retrainer.rules.state import State
from retrainer.rules.triggers import level
from retrainer.rules.window import NOTHING, Window
from retrainer.runs.retry import again, wait
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule

LOOK_AGAIN = 60.0
"""Seconds until a (rule, key) is evaluated again after the parameters of a run could not be rendered."""
_NOTHING = (0, 0, 0)
Folded = tuple[State, list[Decision], list[SlotRecord]]
"""The new state, and the decisions and slot records that the input itself causes."""


def ended(rule: CompiledRule, state: State, given: Ended, now: float) -> Folded:
    retry = rule.rule.submit.retry
    if not given.by_request and retry is not None and again(retry, given.phase, given.attempt):
        at = max(now, _at(given, now) + wait(retry.backoff, given.attempt))
        new_run = NewRun(
            "retry", given.triggers, window=given.window, taken=given.taken, not_before=at, retry_of=given.run
        )
        detail = f"attempt {given.attempt + 1} of {retry.limit + 1} after {given.phase}"
        return state, [Decision(Kind.FIRE, Reason.RETRY, detail, new_run=new_run)], []
    limit = rule.rule.limits.pause_after_failures
    return over(state, given, now, limit, comes_back=rule.rule.submit.inputs_on_failure == "return"), [], []


def orphaned(state: State, given: Ended, now: float) -> State:
    """A run ended whose rule was removed. If the rule is added again, no run is active and no data is lost."""
    return over(state, given, now, None, comes_back=True)


def over(state: State, given: Ended, now: float, limit: int | None, *, comes_back: bool) -> State:
    """A run ended and is not retried. ``limit``: failures in a row that open the circuit breaker; None for no limit."""
    active = max(state.active - 1, 0)
    at = _at(given, now)
    state = replace(state, active=active, stopping=state.stopping and active > 0)
    state = replace(state, last_completed=_later(state.last_completed, at))
    state = _gauges_answered(state, given.triggers, at)
    if given.promoted is not None:
        state = judged(state, at, promoted=given.promoted)
    if given.phase is RunPhase.SUCCEEDED:
        return replace(state, last_succeeded=_later(state.last_succeeded, at), failures=0)
    if given.phase is not RunPhase.CANCELLED:
        failures = state.failures + 1
        state = replace(state, failures=failures, broken=state.broken or (limit is not None and failures >= limit))
    if comes_back:
        taken = {name: w.less(given.recounted.get(name, _NOTHING)) for name, w in given.taken.items()}
        state = give_back(state, given.window.less(given.recounted.get("", _NOTHING)), taken, now)
    return state


def _at(given: Ended, now: float) -> float:
    """When it ended. Age, cooldown and retry delay count from then, not from when the end was observed."""
    return now if given.at is None else min(given.at, now)


def _later(known: float | None, at: float) -> float:
    """The later of both: the ends of overlapping runs may be observed in another order than they happened."""
    return at if known is None else max(known, at)


def unrendered(_rule: CompiledRule, state: State, given: Unrendered, now: float) -> Folded:
    state = replace(state, active=max(state.active - 1, 0))
    if given.new_run.asked is None or not given.new_run.asked.backfill:  # a backfill leaves regular work unchanged
        state = replace(state, lapsed=True, gave_up_at=now, refused=given.message[:300])
    state = _gauges_answered(state, given.new_run.triggers, now)
    state = give_back(state, given.new_run.window, given.new_run.taken, now)
    return state, [Decision(Kind.SKIP, Reason.BAD_PARAMETERS, given.message, now + LOOK_AGAIN)], []


def _gauges_answered(state: State, triggers: tuple[str, ...], now: float) -> State:
    """Record that the run answering these metrics and alerts has ended. Without ``triggers``, any run may be it."""
    waiting = {
        name: level.answered(known, now)
        for name, known in state.gauges.items()
        if known.quiet and (name in triggers if triggers else known.answered_at is None)
    }
    return replace(state, gauges={**state.gauges, **waiting}) if waiting else state


def give_back(state: State, window: Window, taken: Mapping[str, Window], now: float) -> State:
    """Add what a run took to the current windows."""
    windows = dict(state.windows)
    for name, returned in taken.items():
        windows[name] = windows.get(name, NOTHING).give_back(returned, now, state.taken_hi)
    return replace(state, window=state.window.give_back(window, now, state.taken_hi), windows=windows)


def judged(state: State, now: float, *, promoted: bool) -> State:
    if promoted:
        return replace(state, last_promoted=_later(state.last_promoted, now), unpromoted=0)
    return replace(state, unpromoted=state.unpromoted + 1)
