"""`step`: folds one input into the state of one (rule, key) and says what follows from it, and why.

A batch is exactly the fold of its singles, so where a batch was cut never changes a decision. No I/O, no clock, no
randomness: the same journal gives the same decisions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrainer.rules.fold import advance, fold
from retrainer.rules.limits import cooldown_end, held_back, stop_others
from retrainer.rules.outcome import (
    Arrived,
    Birth,
    Decision,
    Input,
    Kind,
    Reason,
    SlotRecord,
    Step,
    Unrendered,
)
from retrainer.rules.state import Due
from retrainer.rules.triggers.data import judge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import Cursor, State
    from retrainer.rules.triggers.data import Verdict


@dataclass(frozen=True, slots=True)
class Weighed:
    """How the triggers stand: those that are satisfied, and the verdicts on the data triggers that are not."""

    satisfied: tuple[str, ...]
    details: tuple[str, ...]
    pending: tuple[tuple[str, Verdict], ...]


_NOTHING_PENDING = Weighed((), (), ())


def step(rule: CompiledRule, state: State, given: Input, now: float) -> tuple[State, Step]:
    """Fold `given` in at `now` (epoch seconds; never earlier than the last one)."""
    state, slots, fan_out = advance(rule, state, now)
    state, decisions, dropped = fold(rule, state, given, now)
    slots += dropped
    weighed = weigh(rule, state, now)
    stop = None
    if not isinstance(given, Unrendered):
        while decision := _next(rule, state, weighed, now):
            state, records = _apply(state, weighed, decision, now)
            decisions.append(decision)
            slots += records
            if decision.kind is not Kind.FIRE:
                break
            weighed = weigh(rule, state, now)
        last = decisions[-1] if decisions else None
        if last is not None and last.reason is Reason.OVERLAP and (stop := stop_others(rule.rule.limits, state)):
            state = replace(state, stopping=True)
        if not decisions and isinstance(given, Arrived):
            decisions.append(_not_yet(given, weighed))
    wake_at = _wake_at(rule, state, weighed, decisions, now)
    if wake_at != state.wake_at:
        state = replace(state, wake_at=wake_at)
    return state, Step(tuple(decisions), tuple(slots), stop, tuple(fan_out))


def weigh(rule: CompiledRule, state: State, now: float) -> Weighed:
    """Ask each trigger."""
    if not state.windows and not state.cursors:
        return _NOTHING_PENDING
    satisfied = [name for name, cursor in state.cursors.items() if cursor.due]
    details = [f"{name}: slot due" for name in satisfied]
    pending = []
    for name, window in state.windows.items():
        if not window.events or state.lapsed or name not in rule.data:
            continue
        verdict = judge(rule.data[name].batch, window, now, fresh=window.fresh)
        if verdict.satisfied:
            satisfied.append(name)
            details.append(f"{name}: {verdict.detail}")
        else:
            pending.append((name, verdict))
    return Weighed(tuple(satisfied), tuple(details), tuple(pending))


def _next(rule: CompiledRule, state: State, weighed: Weighed, now: float) -> Decision | None:
    """What to do with a rule that is due; None if it is not."""
    if not (weighed.satisfied or state.asked or state.due):
        return None
    deadline = rule.rule.limits.deadline
    if state.due is not None and deadline is not None and now >= state.due.since + deadline:
        return Decision(Kind.SKIP, Reason.DEADLINE, f"due since {now - state.due.since:.0f} s")
    held = held_back(rule, state, now)
    if held is not None:
        return held
    reason = _reason(state, weighed)
    detail = "; ".join(weighed.details)
    if rule.rule.mode == "shadow" and state.asked is None:
        return Decision(Kind.FIRE, Reason.SHADOW, detail)
    return Decision(Kind.FIRE, reason, detail, birth=_birth(state, weighed))


def _reason(state: State, weighed: Weighed) -> Reason:
    if state.asked is not None:
        return Reason.MANUAL
    by_slot = any(state.cursors[name].due for name in weighed.satisfied if name in state.cursors)
    return Reason.SCHEDULE if by_slot else Reason.BATCH_COMPLETE


def _birth(state: State, weighed: Weighed) -> Birth:
    slot = min((c.due[0] for c in state.cursors.values() if c.due), default=None)
    names = weighed.satisfied or (state.due.triggers if state.due else ())
    return Birth(
        trigger="manual" if state.asked else names[0],
        window=state.window,
        taken={name: w for name, w in state.windows.items() if w.events},
        scheduled_at=slot,
        parameters=state.asked.parameters if state.asked else {},
    )


def _apply(state: State, weighed: Weighed, decision: Decision, now: float) -> tuple[State, list[SlotRecord]]:
    """What a decision changes in the state, and the slots it settles."""
    if decision.kind is Kind.HOLD:
        if state.due is None:
            state = replace(state, due=Due(now, weighed.satisfied or ("manual",)))
        return state, []
    if decision.kind is Kind.SKIP:
        records = _settle_all(state, decision.reason)
        lapsed = state.lapsed or decision.reason is Reason.DEADLINE
        return replace(_without_slots(state), due=None, asked=None, lapsed=lapsed), records
    cursors, records = _settle_oldest(state, decision.reason)
    taken_hi = max(state.taken_hi, state.window.ranges[-1][1]) if state.window.ranges else state.taken_hi
    return state.fired(cursors, taken_hi, now, started=decision.birth is not None), records


def _settle_oldest(state: State, reason: Reason) -> tuple[Mapping[str, Cursor], list[SlotRecord]]:
    """A run consumes the oldest due slot of each schedule; in shadow it is skipped with that reason."""
    outcome = "skipped" if reason is Reason.SHADOW else "fired"
    records = [
        SlotRecord(name, c.due[0], outcome, reason, c.due[0])  # type: ignore[arg-type]
        for name, c in state.cursors.items()
        if c.due
    ]
    if not records:
        return state.cursors, records
    return {name: replace(c, due=c.due[1:]) if c.due else c for name, c in state.cursors.items()}, records


def _settle_all(state: State, reason: Reason) -> list[SlotRecord]:
    return [SlotRecord(name, slot, "skipped", reason, slot) for name, c in state.cursors.items() for slot in c.due]


def _without_slots(state: State) -> State:
    return replace(state, cursors={name: replace(c, due=()) for name, c in state.cursors.items()})


def _not_yet(given: Arrived, weighed: Weighed) -> Decision:
    """The event is kept, and nothing follows from it yet."""
    for name, verdict in weighed.pending:
        if name in given.counts:
            return Decision(Kind.HOLD, verdict.reason, f"{name}: {verdict.detail}", verdict.until)
    return Decision(Kind.HOLD, Reason.WAITING)


def _wake_at(rule: CompiledRule, state: State, weighed: Weighed, decisions: list[Decision], now: float) -> float | None:
    """The next moment at which something may change by itself; always later than now."""
    moments = [c.next_at for c in state.cursors.values()]
    moments += [verdict.until for _, verdict in weighed.pending]
    moments += [d.until for d in decisions]
    if state.due is not None:
        moments.append(cooldown_end(rule.rule.limits, state))
        if rule.rule.limits.deadline is not None:
            moments.append(state.due.since + rule.rule.limits.deadline)
    return min((m for m in moments if m is not None and m > now), default=None)
