"""`step`: folds one input into the state of one (rule, key) and says what follows from it, and why.

A batch is exactly the fold of its singles, so where a batch was cut never changes a decision. No I/O, no clock, no
randomness: the same journal gives the same decisions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.rules.apply import apply
from retrainer.rules.condition import missing
from retrainer.rules.fold import advance, fold
from retrainer.rules.limits import cooldown_end, held_back, in_turn, stop_others
from retrainer.rules.outcome import (
    Arrived,
    Birth,
    Decision,
    Input,
    Kind,
    Quarantined,
    Reason,
    Resumed,
    Sampled,
    SlotRecord,
    Step,
    Unrendered,
)
from retrainer.rules.quarantine import fold_in_quarantine
from retrainer.rules.triggers.gauge import next_change, worst
from retrainer.rules.weigh import threshold, weigh
from retrainer.rules.why import because

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import Allowance
    from retrainer.rules.state import Asked, State
    from retrainer.rules.weigh import Weighed

_SPEAK = (Arrived, Sampled)
"""Inputs that are answered by a decision even if nothing follows from them yet."""


def step(
    rule: CompiledRule, state: State, given: Input, now: float, allowance: Allowance | None = None
) -> tuple[State, Step]:
    """Fold `given` in at `now` (epoch seconds; never earlier than the last one).

    ``allowance`` is what the rule's own budget leaves, None if it has none.
    """
    if isinstance(given, Quarantined) or (state.quarantine is not None and not isinstance(given, Resumed)):
        return fold_in_quarantine(rule, state, given, now)
    state, slots, fan_out = advance(rule, state, now)
    state, decisions, dropped = fold(rule, state, given, now)
    slots += dropped
    state, weighed, expired = _weigh(rule, state, now)
    slots += expired
    stop = None
    if decisions and allowance is not None:
        allowance = allowance.less()  # a retry is a run as well
    if not isinstance(given, Unrendered):
        skipped = in_the_way = False
        while decision := _next(rule, state, weighed, now, allowance, skipped=skipped):
            state, records = apply(rule, state, weighed, decision, now)
            slots += [replace(record, decision=len(decisions)) for record in records]
            decisions.append(decision)
            in_the_way = in_the_way or _in_the_way(decision)
            if decision.kind is Kind.HOLD:
                break
            state, weighed, expired = _weigh(rule, state, now)
            slots += expired
            if decision.kind is Kind.FIRE and allowance is not None:
                allowance = allowance.less()
            skipped = skipped or (decision.kind is Kind.SKIP and decision.asked is None)
        if in_the_way and (stop := stop_others(rule.rule.limits, state)):
            state = replace(state, stopping=True)
        if not decisions and isinstance(given, _SPEAK):
            decisions.append(_not_yet(rule, given, weighed))
    wake_at = _wake_at(rule, state, weighed, decisions, now)
    if wake_at != state.wake_at:
        state = state.but(wake_at=wake_at)
    return state, Step(tuple(decisions), tuple(slots), stop, tuple(fan_out))


def _weigh(rule: CompiledRule, state: State, now: float) -> tuple[State, Weighed, list[SlotRecord]]:
    """Weigh, and keep since when which trigger is satisfied; slots that count no longer are given up first."""
    weighed = weigh(rule, state, now)
    if rule.when.condition is None:
        return state, weighed, []
    since = weighed.since
    expired = [n for n, seconds in rule.when.expires.items() if n in since and now >= since[n] + seconds]
    records: list[SlotRecord] = []
    if expired and state.due is None:
        for name in expired:
            cursor = state.cursors[name]
            records += [SlotRecord(name, slot, "skipped", Reason.MISSING_TRIGGER, slot) for slot in cursor.due]
            state = replace(state, cursors={**state.cursors, name: replace(cursor, due=())})
        weighed = weigh(rule, state, now)
    if weighed.since != state.since:
        state = state.but(since=weighed.since)
    return state, weighed, records


def _next(
    rule: CompiledRule, state: State, weighed: Weighed, now: float, allowance: Allowance | None, *, skipped: bool
) -> Decision | None:
    """What to do with a rule that is due, or asked for; None if it is neither.

    ``skipped``: what it is due for by itself is answered already.
    """
    due = not skipped and bool(weighed.due or state.due)
    if not due and not state.asked:
        return None
    if due and (lapsed := _lapsed(rule, now, state.due.since if state.due else None)):
        return lapsed
    asked = in_turn(state, due=due)
    if asked is not None and not asked.backfill and (lapsed := _lapsed(rule, now, asked.at)):
        return replace(lapsed, asked=asked)
    held = held_back(rule, state, now, weighed.inhibiting, allowance, asked)
    if held is not None:
        return replace(held, asked=asked)
    if asked is not None and asked.backfill:
        detail = f"asked for by {asked.by}" if asked.by else "asked for"
        return Decision(Kind.FIRE, Reason.BACKFILL, detail, birth=_birth_of_slot(asked), asked=asked)
    if rule.rule.mode == "shadow" and asked is None:
        return Decision(Kind.FIRE, Reason.SHADOW, weighed.detail)
    reason = _reason(state, weighed) if asked is None else Reason.MANUAL
    return Decision(Kind.FIRE, reason, weighed.detail, birth=_birth(rule, state, weighed, asked), asked=asked)


def _lapsed(rule: CompiledRule, now: float, since: float | None) -> Decision | None:
    deadline = rule.rule.limits.deadline
    if since is None or deadline is None or now < since + deadline:
        return None
    return Decision(Kind.SKIP, Reason.DEADLINE, f"due since {now - since:.0f} s")


def _in_the_way(decision: Decision) -> bool:
    """A run is, and not of what can wait for it."""
    return decision.reason is Reason.OVERLAP and (decision.asked is None or not decision.asked.backfill)


def _reason(state: State, weighed: Weighed) -> Reason:
    """Of several reasons the first in the order of the kinds: a slot before data before metrics."""
    verdict = next(iter(weighed.satisfied.values()), None)
    if verdict is not None:
        return verdict.reason
    return Reason(state.due.reason) if state.due is not None else Reason.WAITING


def _birth_of_slot(asked: Asked) -> Birth:
    """It is about its slot alone: what is pending now is left to the runs that it is meant for."""
    return Birth(
        trigger=asked.trigger,
        triggers=(asked.trigger,),
        scheduled_at=asked.scheduled_at,
        parameters=asked.parameters,
        asked=asked,
    )


def _birth(rule: CompiledRule, state: State, weighed: Weighed, asked: Asked | None) -> Birth:
    slot = min((c.due[0] for c in state.cursors.values() if c.due), default=None)
    names = tuple(dict.fromkeys((*weighed.satisfied, *(state.due.triggers if state.due else ()))))
    furthest = {
        name: worst(threshold(rule, name, state), gauge.series.values())
        for name, gauge in state.gauges.items()
        if name in rule.gauges
    }
    return Birth(
        trigger="manual" if asked else names[0],
        triggers=names,
        because=because(rule, state, weighed, names),
        values={name: value for name, value in furthest.items() if value is not None},
        upstream=max(state.followed.values(), key=lambda u: u.at).run if state.followed else None,
        window=state.window,
        taken={name: w for name, w in state.windows.items() if w.events},
        scheduled_at=slot,
        parameters=asked.parameters if asked else {},
        asked=asked,
    )


def _not_yet(rule: CompiledRule, given: Arrived | Sampled, weighed: Weighed) -> Decision:
    """The input is kept, and nothing follows from it yet."""
    if weighed.satisfied and rule.when.condition is not None:
        waits_for = ", ".join(missing(rule.when.condition, weighed.satisfied))
        until = min((v.until for _, v in weighed.pending if v.until is not None), default=None)
        return Decision(Kind.HOLD, Reason.MISSING_TRIGGER, f"{weighed.detail}; waiting for {waits_for}", until)
    concerned = given.counts if isinstance(given, Arrived) else (given.trigger,)
    for name, verdict in weighed.pending:
        if name in concerned:
            return Decision(Kind.HOLD, verdict.reason, f"{name}: {verdict.detail}", verdict.until)
    return Decision(Kind.HOLD, Reason.WAITING)


def _wake_at(rule: CompiledRule, state: State, weighed: Weighed, decisions: list[Decision], now: float) -> float | None:
    """The next moment at which something may change by itself; always later than now."""
    moments = [c.next_at for c in state.cursors.values()]
    moments += [verdict.until for _, verdict in weighed.pending]
    moments += [d.until for d in decisions]
    if state.due is not None:
        moments.append(cooldown_end(rule, state))
        if rule.rule.limits.deadline is not None:
            moments.append(state.due.since + rule.rule.limits.deadline)
    if state.asked and not state.asked[0].backfill and rule.rule.limits.deadline is not None:
        moments.append(state.asked[0].at + rule.rule.limits.deadline)
    if state.gauges:
        moments += [next_change(threshold(rule, n, state), g, now) for n, g in state.gauges.items() if n in rule.gauges]
    if rule.when.expires:
        moments += [weighed.since[n] + seconds for n, seconds in rule.when.expires.items() if n in weighed.since]
    return min((m for m in moments if m is not None and m > now), default=None)
