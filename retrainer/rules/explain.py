"""Explain a rule's decision: one line and a tree of live values, from the same functions that decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.condition import first_moment, longest_within, missing
from retrainer.rules.evaluate import Evaluation, evaluate, renewed
from retrainer.rules.explain_tree import tree
from retrainer.rules.fold import advance
from retrainer.rules.limits import RemainingBudget, blocking_limit, next_request
from retrainer.rules.nodes import node
from retrainer.rules.outcome import Decision, Reason
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import Quarantine, State

_WHATEVER_ELSE = (Reason.PAUSED, Reason.CIRCUIT_OPEN, Reason.INHIBITED)
"""Reasons that are shown even while nothing makes the rule due."""


def explain(
    rule: CompiledRule, key: str, state: State, now: float, remaining_budget: RemainingBudget | None = None
) -> dict[str, Any]:
    """The verdict at `now`: whether the rule would fire, and if not, what blocks it and when it could fire earliest."""
    line, judged = _judge(rule, key, state, now, remaining_budget)
    if judged is None:
        assert state.quarantine is not None  # noqa: S101 - for the type checker
        return {**line, "tree": [node("quarantine", f"since {moment(state.quarantine.at)}", state.quarantine.error)]}
    return {**line, "tree": tree(rule, *judged, remaining_budget, now)}


def verdict_line(
    rule: CompiledRule, key: str, state: State, now: float, remaining_budget: RemainingBudget | None = None
) -> dict[str, Any]:
    """Return what `explain` returns, without its tree, in about half of the time."""
    return _judge(rule, key, state, now, remaining_budget)[0]


def _judge(
    rule: CompiledRule, key: str, state: State, now: float, remaining_budget: RemainingBudget | None
) -> tuple[dict[str, Any], tuple[State, Evaluation] | None]:
    """Return the line of a verdict, and the state and evaluation that it is of; in quarantine nothing is evaluated."""
    if state.quarantine is not None:
        return _in_quarantine(rule, key, state.quarantine), None
    state, _, _ = advance(rule, state, now)
    evaluation = evaluate(rule, state, now)
    asked = next_request(state, due=evaluation.due or state.due is not None)
    due = bool(evaluation.due or state.due or asked)
    held = blocking_limit(rule, state, now, evaluation.inhibiting, remaining_budget, asked)
    decision, reason, until = _verdict(evaluation, held, due=due)
    earliest = _earliest(rule, state, evaluation, held, now, due=due)
    detail = held.detail if held is not None and held.reason.value == reason else _why(rule, state, evaluation, now)
    if not due and state.lapsed and state.refused:
        decision, reason, until, detail = "hold", Reason.BAD_PARAMETERS.value, None, state.refused
    line = {
        "rule": rule.name,
        "key": key,
        "verdict": _line(rule.name, key, decision, reason, detail, earliest),
        "decision": decision,
        "reason": reason,
        "detail": detail,
        "until": until,
        "earliest": earliest,
    }
    return line, (state, evaluation)


def _in_quarantine(rule: CompiledRule, key: str, quarantine: Quarantine) -> dict[str, Any]:
    """The verdict in quarantine. Nothing is evaluated, as evaluating is what failed."""
    reason, detail = Reason.QUARANTINED.value, quarantine.detail(rule.name)
    return {
        "rule": rule.name,
        "key": key,
        "verdict": _line(rule.name, key, "hold", reason, detail, None),
        "decision": "hold",
        "reason": reason,
        "detail": detail,
        "until": None,
        "earliest": None,
    }


def _verdict(evaluation: Evaluation, held: Decision | None, *, due: bool) -> tuple[str, str, float | None]:
    if held is not None and held.reason in _WHATEVER_ELSE:
        return held.kind.value, held.reason.value, None
    if due and held is None:
        return "fire", "due", None
    if due and held is not None:
        return held.kind.value, held.reason.value, held.until
    if evaluation.satisfied:
        until = min((v.until for _, v in evaluation.pending if v.until is not None), default=None)
        return "hold", Reason.MISSING_TRIGGER.value, until
    if evaluation.pending:
        verdict = evaluation.pending[0][1]
        return "hold", verdict.reason.value, verdict.until
    return "hold", Reason.WAITING.value, None


def _why(rule: CompiledRule, state: State, evaluation: Evaluation, now: float) -> str:
    condition = rule.when.condition
    if not evaluation.due and evaluation.satisfied and condition is not None:
        old = _lapsed(rule, state, evaluation, now)
        detail = "; ".join(
            f"{name}: {verdict.detail}{', longer ago than `within`' if name in old else ''}"
            for name, verdict in evaluation.satisfied.items()
        )
        return f"{detail}; waiting for {', '.join(missing(condition, evaluation.satisfied.keys() - old))}"
    details = evaluation.detail or "; ".join(f"{name}: {v.detail}" for name, v in evaluation.pending)
    given_up = state.lapsed and any(window.events for window in state.windows.values())
    return details or ("skipped; the pending data waits for new data" if given_up else "nothing is due")


def _lapsed(rule: CompiledRule, state: State, evaluation: Evaluation, now: float) -> set[str]:
    """Triggers that are satisfied, but for so long that `within` excludes them everywhere in `when`."""
    condition, fleeting = rule.when.condition, rule.when.fleeting
    lapsed = set()
    for name, since in renewed(evaluation.since, state).items():
        longest = longest_within(condition, name) if condition is not None and name in fleeting else None
        if longest is not None and now >= since + longest:
            lapsed.add(name)
    return lapsed


def _earliest(
    rule: CompiledRule, state: State, evaluation: Evaluation, held: Decision | None, now: float, *, due: bool
) -> float | None:
    """The earliest time known now; None if it depends on future inputs."""
    if held is not None and held.until is None:
        return None
    rest = held.until if held is not None and held.until is not None else now
    if due:
        return rest
    moments = {name: c.next_at for name, c in state.cursors.items() if c.next_at is not None}
    moments.update((name, v.until) for name, v in evaluation.pending if v.until is not None)
    if rule.when.condition is None:
        first = min(moments.values(), default=None)
    else:
        first = first_moment(rule.when.condition, {**moments, **renewed(evaluation.since, state)}, rule.when.fleeting)
    return None if first is None else max(first, rest)


def _line(rule: str, key: str, decision: str, reason: str, detail: str, earliest: float | None) -> str:
    name = f"{rule}[{key}]" if key else rule
    verb = {"fire": "would fire now", "hold": _held(reason), "skip": f"would skip: {reason}"}[decision]
    when = f"; at the earliest {moment(earliest)}" if earliest is not None and decision != "fire" else ""
    return f"{name} {verb} ({detail}){when}"


def _held(reason: str) -> str:
    """Return the verb of a rule that does not fire. One with nothing to do is idle: nothing holds it back."""
    if reason == Reason.WAITING:
        return "is idle"
    return f"is idle: {reason}" if reason == Reason.FRESH else f"is held: {reason}"
