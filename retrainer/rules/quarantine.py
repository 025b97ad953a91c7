"""A (rule, key) whose evaluation failed: inputs are folded in, and nothing is evaluated until it is resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.fold import fold
from retrainer.rules.outcome import Arrived, Decision, Ended, Input, Kind, Manual, Quarantined, Reason, Sampled, Step
from retrainer.rules.run_end import over

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State

_ANSWERED = (Arrived, Sampled, Manual, Quarantined)
"""Inputs that get a decision; the others only change the state."""


def fold_in_quarantine(rule: CompiledRule, state: State, given: Input, now: float) -> tuple[State, Step]:
    """Fold `given` in. A run that ends is not retried; what it took is returned if `inputs_on_failure` says so."""
    if isinstance(given, Ended):
        comes_back = rule.rule.submit.inputs_on_failure == "return"
        return over(state, given, now, None, comes_back=comes_back).but(wake_at=None), Step()
    state, _, slots = fold(rule, state, given, now)
    decisions: tuple[Decision, ...] = ()
    if state.quarantine is not None and isinstance(given, _ANSWERED):
        decisions = (Decision(Kind.HOLD, Reason.QUARANTINED, state.quarantine.detail(rule.name)),)
    return state.but(wake_at=None), Step(decisions, tuple(slots))
