"""`step`: fold one input into the state of one (rule, key), and return the decisions with their reasons.

Batch boundaries do not affect decisions: a batch gives the same result as its inputs one by one. No I/O, no clock, no
randomness: the same journal gives the same decisions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.rules.apply import apply
from retrainer.rules.causes import because
from retrainer.rules.condition import missing
from retrainer.rules.cooldown import cooldown_end
from retrainer.rules.evaluate import Evaluation, evaluate
from retrainer.rules.fold import advance, fold
from retrainer.rules.limits import RemainingBudget, blocking_limit, next_request, stop_others
from retrainer.rules.outcome import (
    Arrived,
    Decision,
    Input,
    Kind,
    NewRun,
    Quarantined,
    Reason,
    Resumed,
    Sampled,
    SlotRecord,
    Step,
    Unrendered,
)
from retrainer.rules.quarantine import fold_in_quarantine
from retrainer.rules.triggers.level import next_change, worst

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import ManualRequest, State

_SPEAK = (Arrived, Sampled)
"""Inputs that always get a decision, even if nothing follows from them yet."""


def step(
    rule: CompiledRule, state: State, given: Input, now: float, remaining_budget: RemainingBudget | None = None
) -> tuple[State, Step]:
    """Fold `given` in at `now` (epoch seconds; never earlier than the `now` of the last input).

    ``remaining_budget`` is what remains of the rule's own budget; None if it has none.
    """
    if isinstance(given, Quarantined) or (state.quarantine is not None and not isinstance(given, Resumed)):
        return fold_in_quarantine(rule, state, given, now)
    state, slots, fan_out = advance(rule, state, now)
    state, decisions, dropped = fold(rule, state, given, now)
    slots += dropped
    state, evaluation, expired = _evaluate(rule, state, now)
    slots += expired
    stop = None
    if decisions and remaining_budget is not None:
        remaining_budget = remaining_budget.less()  # a retry counts as a run
    if not isinstance(given, Unrendered):
        skipped = in_the_way = False
        while decision := _next(rule, state, evaluation, now, remaining_budget, skipped=skipped):
            state, records = apply(rule, state, evaluation, decision, now)
            slots += [replace(record, decision=len(decisions)) for record in records]
            decisions.append(decision)
            in_the_way = in_the_way or _in_the_way(decision)
            if decision.kind is Kind.HOLD:
                break
            state, evaluation, expired = _evaluate(rule, state, now)
            slots += expired
            if decision.kind is Kind.FIRE and remaining_budget is not None:
                remaining_budget = remaining_budget.less()
            skipped = skipped or (decision.kind is Kind.SKIP and decision.asked is None)
        if in_the_way and (stop := stop_others(rule.rule.limits, state)):
            state = replace(state, stopping=True)
        if not decisions and isinstance(given, _SPEAK):
            decisions.append(_not_yet(rule, given, evaluation))
    wake_at = _wake_at(rule, state, evaluation, decisions, now)
    if wake_at != state.wake_at:
        state = state.but(wake_at=wake_at)
    return state, Step(tuple(decisions), tuple(slots), stop, tuple(fan_out))


def _evaluate(rule: CompiledRule, state: State, now: float) -> tuple[State, Evaluation, list[SlotRecord]]:
    """Evaluate, and store since when each trigger is satisfied. Slots whose `within` is over are skipped first."""
    evaluation = evaluate(rule, state, now)
    if rule.when.condition is None:
        return state, evaluation, []
    since = evaluation.since
    expired = [n for n, seconds in rule.when.expires.items() if n in since and now >= since[n] + seconds]
    records: list[SlotRecord] = []
    if expired and state.due is None:
        for name in expired:
            cursor = state.cursors[name]
            records += [SlotRecord(name, slot, "skipped", Reason.MISSING_TRIGGER, slot) for slot in cursor.due]
            state = replace(state, cursors={**state.cursors, name: replace(cursor, due=())})
        evaluation = evaluate(rule, state, now)
    if evaluation.since != state.since:
        state = state.but(since=evaluation.since)
    return state, evaluation, records


def _next(
    rule: CompiledRule,
    state: State,
    evaluation: Evaluation,
    now: float,
    remaining_budget: RemainingBudget | None,
    *,
    skipped: bool,
) -> Decision | None:
    """The decision for a rule that is due or has a manual request; None if neither.

    ``skipped``: this step has skipped what the rule was due for, so only requests remain.
    """
    due = not skipped and bool(evaluation.due or state.due)
    if not due and not state.asked:
        return None
    if due and (lapsed := _lapsed(rule, now, state.due.since if state.due else None)):
        return lapsed
    asked = next_request(state, due=due)
    if asked is not None and not asked.backfill and (lapsed := _lapsed(rule, now, asked.at)):
        return replace(lapsed, asked=asked)
    held = blocking_limit(rule, state, now, evaluation.inhibiting, remaining_budget, asked)
    if held is not None:
        return replace(held, asked=asked)
    if asked is not None and asked.backfill:
        detail = f"requested by {asked.by}" if asked.by else "requested"
        return Decision(Kind.FIRE, Reason.BACKFILL, detail, new_run=_new_run_of_slot(asked), asked=asked)
    if rule.rule.mode == "shadow" and asked is None:
        return Decision(Kind.FIRE, Reason.SHADOW, evaluation.detail)
    reason = _reason(state, evaluation) if asked is None else Reason.MANUAL
    return Decision(Kind.FIRE, reason, evaluation.detail, new_run=_new_run(rule, state, evaluation, asked), asked=asked)


def _lapsed(rule: CompiledRule, now: float, since: float | None) -> Decision | None:
    deadline = rule.rule.limits.deadline
    if since is None or deadline is None or now < since + deadline:
        return None
    return Decision(Kind.SKIP, Reason.DEADLINE, f"due since {now - since:.0f} s")


def _in_the_way(decision: Decision) -> bool:
    """Whether active runs block the decision, and it is not a backfill slot (which can wait)."""
    return decision.reason is Reason.OVERLAP and (decision.asked is None or not decision.asked.backfill)


def _reason(state: State, evaluation: Evaluation) -> Reason:
    """The reason of the first satisfied trigger, in the order of the kinds: schedule, data, metric and so on."""
    verdict = next(iter(evaluation.satisfied.values()), None)
    if verdict is not None:
        return verdict.reason
    return Reason(state.due.reason) if state.due is not None else Reason.WAITING


def _new_run_of_slot(asked: ManualRequest) -> NewRun:
    """The run of a backfill slot. It takes no pending data; that is left to the regular runs."""
    return NewRun(
        trigger=asked.trigger,
        triggers=(asked.trigger,),
        scheduled_at=asked.scheduled_at,
        parameters=asked.parameters,
        asked=asked,
    )


def _new_run(rule: CompiledRule, state: State, evaluation: Evaluation, asked: ManualRequest | None) -> NewRun:
    slot = min((c.due[0] for c in state.cursors.values() if c.due), default=None)
    names = tuple(dict.fromkeys((*evaluation.satisfied, *(state.due.triggers if state.due else ()))))
    furthest = {
        name: worst(rule.gauges[name].threshold, gauge.series.values())
        for name, gauge in state.gauges.items()
        if name in rule.gauges
    }
    return NewRun(
        trigger="manual" if asked else names[0],
        triggers=names,
        because=because(rule, state, evaluation, names),
        values={name: value for name, value in furthest.items() if value is not None},
        upstream=max(state.followed.values(), key=lambda u: u.at).run if state.followed else None,
        window=state.window,
        taken={name: w for name, w in state.windows.items() if w.events},
        scheduled_at=slot,
        parameters=asked.parameters if asked else {},
        asked=asked,
    )


def _not_yet(rule: CompiledRule, given: Arrived | Sampled, evaluation: Evaluation) -> Decision:
    """The decision for an input that was stored and that does not make the rule due."""
    if evaluation.satisfied and rule.when.condition is not None:
        waits_for = ", ".join(missing(rule.when.condition, evaluation.satisfied))
        until = min((v.until for _, v in evaluation.pending if v.until is not None), default=None)
        return Decision(Kind.HOLD, Reason.MISSING_TRIGGER, f"{evaluation.detail}; waiting for {waits_for}", until)
    concerned = given.counts if isinstance(given, Arrived) else (given.trigger,)
    for name, verdict in evaluation.pending:
        if name in concerned:
            return Decision(Kind.HOLD, verdict.reason, f"{name}: {verdict.detail}", verdict.until)
    return Decision(Kind.HOLD, Reason.WAITING)


def _wake_at(
    rule: CompiledRule, state: State, evaluation: Evaluation, decisions: list[Decision], now: float
) -> float | None:
    """The next time (epoch seconds) at which something may change without an input; always later than ``now``."""
    moments = [c.next_at for c in state.cursors.values()]
    moments += [verdict.until for _, verdict in evaluation.pending]
    moments += [d.until for d in decisions]
    if state.due is not None:
        moments.append(cooldown_end(rule, state))
        if rule.rule.limits.deadline is not None:
            moments.append(state.due.since + rule.rule.limits.deadline)
    if state.asked and not state.asked[0].backfill and rule.rule.limits.deadline is not None:
        moments.append(state.asked[0].at + rule.rule.limits.deadline)
    if state.gauges:
        gauges = ((rule.gauges[name], known) for name, known in state.gauges.items() if name in rule.gauges)
        moments += [next_change(gauge.threshold_of(state), known, now) for gauge, known in gauges]
    if rule.when.expires:
        moments += [evaluation.since[n] + seconds for n, seconds in rule.when.expires.items() if n in evaluation.since]
    return min((m for m in moments if m is not None and m > now), default=None)
