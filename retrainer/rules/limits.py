"""The limits that delay or prevent the run of a due rule."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from retrainer.rules.cooldown import cooldown_decision
from retrainer.rules.outcome import Decision, Kind, Reason
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.config.models import Limits
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import ManualRequest, State
    from retrainer.rules.triggers.kind import Verdict


@dataclass(frozen=True, slots=True)
class RemainingBudget:
    """What remains of the rule's own budget: ``runs`` may start. If that is 0, ``until`` is when more are available.

    ``detail`` says in words what is used.
    """

    runs: int
    detail: str
    until: float | None = None

    def less(self) -> RemainingBudget:
        """The budget after one more run has started."""
        return replace(self, runs=self.runs - 1)


def blocking_limit(
    rule: CompiledRule,
    state: State,
    now: float,
    inhibiting: Mapping[str, Verdict],
    remaining_budget: RemainingBudget | None = None,
    asked: ManualRequest | None = None,
) -> Decision | None:
    """The decision of the first limit that blocks a run; None if none does. ``asked`` is the manual request, if any.

    Manual runs are subject to `mode: shadow`, `overlap`, `budget` and `pool` only (pools are checked by `admit`).
    A backfill slot is subject to all limits. It waits where another slot would be skipped, and never stops active runs.
    """
    backfill = asked is not None and asked.backfill
    by_hand = asked is not None and not backfill
    return (
        (None if by_hand else _stopped(rule, state))
        or (_watching(rule, backfill=backfill) if asked is not None else None)
        or (None if by_hand else _inhibited(inhibiting))
        or _overlap(rule.rule.limits, state, waits=backfill)
        or (None if by_hand else cooldown_decision(rule, state, now))
        or (None if by_hand else _muted(rule, now))
        or _spent(remaining_budget)
    )


def _stopped(rule: CompiledRule, state: State) -> Decision | None:
    if rule.paused:
        return Decision(Kind.HOLD, Reason.PAUSED, f"resume it with `retrainer resume {rule.name}`, or set mode: active")
    if state.broken:
        detail = f"{many(state.failures, 'failure')} in a row; `retrainer resume {rule.name}` closes it"
        return Decision(Kind.HOLD, Reason.CIRCUIT_OPEN, detail)
    return None


def _watching(rule: CompiledRule, *, backfill: bool) -> Decision | None:
    if rule.rule.mode != "shadow":
        return None
    drop = f"`retrainer {'backfill' if backfill else 'trigger'} {rule.name} --cancel`"
    return Decision(Kind.HOLD, Reason.SHADOW, f"set mode: active, or drop it: {drop}")


def _inhibited(inhibiting: Mapping[str, Verdict]) -> Decision | None:
    for name, verdict in inhibiting.items():
        return Decision(Kind.HOLD, Reason.INHIBITED, f"{name}: {verdict.detail}")
    return None


def _overlap(limits: Limits, state: State, *, waits: bool) -> Decision | None:
    if not busy(limits, state):
        return None
    kind = Kind.SKIP if limits.overlap == "skip" and not waits else Kind.HOLD
    return Decision(kind, Reason.OVERLAP, f"{state.active} active, overlap: {limits.overlap}")


def _muted(rule: CompiledRule, now: float) -> Decision | None:
    until = muted_until(rule, now)
    if until is None:
        return None
    names = ", ".join(name for name, period in rule.mutes if period.contains(now))
    return Decision(Kind.HOLD, Reason.MUTED, f"calendar {names}", until if until > now else None)


def muted_until(rule: CompiledRule, now: float) -> float | None:
    """When all calendars of `mute` have ended; None if none is active; ``now`` itself if they never end."""
    at, changes = now, 0
    while on := [period for _, period in rule.mutes if period.contains(at)]:
        ends = [period.next_change(at) for period in on]
        changes += 1
        if any(end is None for end in ends) or changes > _MOST_CHANGES:
            return now
        at = max(end for end in ends if end is not None)
    return at if at > now else None


_MOST_CHANGES = 100
"""After this many changes between overlapping calendars, they count as never ending."""


def _spent(remaining_budget: RemainingBudget | None) -> Decision | None:
    if remaining_budget is None or remaining_budget.runs > 0:
        return None
    return Decision(Kind.HOLD, Reason.BUDGET, remaining_budget.detail, remaining_budget.until)


def busy(limits: Limits, state: State) -> bool:
    return state.active >= (limits.max_active if limits.overlap == "allow_all" else 1)


def next_request(state: State, *, due: bool) -> ManualRequest | None:
    """The next manual request to start. None if there is none, or if it is a backfill slot and the rule itself is due.

    A manual run takes everything that is due. A backfill slot takes nothing, so it waits until the rule has run.
    """
    if not state.asked or (due and state.asked[0].backfill):
        return None
    return state.asked[0]


def stop_others(limits: Limits, state: State) -> Literal["Stop", "Terminate"] | None:
    """How the active runs are to be ended, by `overlap`; None if they are not, or if that was requested before."""
    if state.stopping or not state.active:
        return None
    strategies: dict[str, Literal["Stop", "Terminate"]] = {"cancel_other": "Stop", "terminate_other": "Terminate"}
    return strategies.get(limits.overlap)
