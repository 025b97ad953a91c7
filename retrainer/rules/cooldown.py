"""The cooldown: the pause between two runs of a key, and how much longer it becomes after runs without promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.outcome import Decision, Kind, Reason
from retrainer.rules.triggers.freshness import span
from retrainer.runs.retry import grown
from retrainer.util.counts import many

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State


def cooldown_decision(rule: CompiledRule, state: State, now: float) -> Decision | None:
    """Return the decision to hold the rule, None if no cooldown is left at ``now`` (epoch seconds)."""
    end = cooldown_end(rule, state)
    if end is None or now >= end:
        return None
    cooldown, feedback = rule.rule.limits.cooldown, rule.rule.feedback
    assert cooldown is not None  # noqa: S101 - for the type checker; without a cooldown there is no end
    rest = f"{span(rest_for(rule, state))} after a run has {cooldown.from_}"
    if state.unpromoted and feedback is not None and feedback.backoff is not None:
        rest += f", because of {many(state.unpromoted, 'run')} in a row without promotion"
    return Decision(Kind.HOLD, Reason.COOLDOWN, rest, end)


def cooldown_end(rule: CompiledRule, state: State) -> float | None:
    """When the cooldown after the last run ends (epoch seconds); None if there is none."""
    cooldown = rule.rule.limits.cooldown
    if cooldown is None:
        return None
    since = {"fired": state.last_fired, "completed": state.last_completed, "succeeded": state.last_succeeded}[
        cooldown.from_
    ]
    return None if since is None else since + rest_for(rule, state)


def rest_for(rule: CompiledRule, state: State) -> float:
    """Length of the cooldown in seconds. With `backoff` it grows with each run in a row that was not promoted."""
    cooldown, feedback = rule.rule.limits.cooldown, rule.rule.feedback
    if cooldown is None:
        return 0.0
    if feedback is None or feedback.backoff is None or not state.unpromoted:
        return cooldown.period
    longest = max(feedback.backoff.max, cooldown.period)
    return grown(cooldown.period, feedback.backoff.factor, state.unpromoted, longest)
