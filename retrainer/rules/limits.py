"""What holds a due rule back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from retrainer.rules.outcome import Decision, Kind, Reason

if TYPE_CHECKING:
    from retrainer.config.models import Limits
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State


def held_back(rule: CompiledRule, state: State, now: float) -> Decision | None:
    """The first limit that says no, or None. What somebody asked for by hand heeds only the overlap and the pool."""
    limits = rule.rule.limits
    if state.asked is None:
        if rule.paused:
            return Decision(
                Kind.HOLD, Reason.PAUSED, f"resume it with `retrainer resume {rule.name}`, or set mode: active"
            )
        if state.broken:
            return Decision(
                Kind.HOLD,
                Reason.CIRCUIT_OPEN,
                f"{state.failures} failures in a row; `retrainer resume {rule.name}` closes it",
            )
    if busy(limits, state):
        kind = Kind.SKIP if limits.overlap == "skip" else Kind.HOLD
        return Decision(kind, Reason.OVERLAP, f"{state.active} on the way, overlap: {limits.overlap}")
    if state.asked is None and limits.cooldown is not None:
        end = cooldown_end(limits, state)
        if end is not None and now < end:
            rest = f"rests for {limits.cooldown.period:g} s after a run has {limits.cooldown.from_}"
            return Decision(Kind.HOLD, Reason.COOLDOWN, rest, end)
    return None


def busy(limits: Limits, state: State) -> bool:
    return state.active >= (limits.max_active if limits.overlap == "allow_all" else 1)


def cooldown_end(limits: Limits, state: State) -> float | None:
    """When the rest ends that the last run started; None if there is none."""
    if limits.cooldown is None:
        return None
    since = {"fired": state.last_fired, "completed": state.last_completed, "succeeded": state.last_succeeded}[
        limits.cooldown.from_
    ]
    return None if since is None else since + limits.cooldown.period


def stop_others(limits: Limits, state: State) -> Literal["Stop", "Terminate"] | None:
    """How the runs in the way are asked to end; once."""
    if state.stopping or not state.active:
        return None
    strategies: dict[str, Literal["Stop", "Terminate"]] = {"cancel_other": "Stop", "terminate_other": "Terminate"}
    return strategies.get(limits.overlap)
