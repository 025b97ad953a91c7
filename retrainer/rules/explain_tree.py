"""The live values of a rule, as a tree: triggers as `when` combines them, and the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.cooldown import cooldown_end, rest_for
from retrainer.rules.limits import RemainingBudget, muted_until
from retrainer.rules.nodes import Measure, Node, node
from retrainer.rules.triggers.freshness import span
from retrainer.util.counts import many, part
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.condition import ConditionGroup
    from retrainer.rules.evaluate import Evaluation
    from retrainer.rules.state import State


def tree(
    rule: CompiledRule, state: State, evaluation: Evaluation, remaining_budget: RemainingBudget | None, now: float
) -> list[Node]:
    """Nodes of `name`, `state`, `detail` and `children`."""
    of_keys = {name: node(name, "", "evaluated for each key separately") for name in rule.rule.triggers}
    each = {**of_keys, **{name: trigger.explain(state, now) for name, trigger in rule.triggers.items()}}
    if rule.when.condition is None:
        shown = [
            node(
                "triggers",
                "any",
                "",
                [n for name, n in each.items() if name not in rule.when.unless and n != of_keys[name]],
            )
        ]
    else:
        shown = [_group(rule.when.condition, each, due=evaluation.due, name="when")]
    if rule.when.unless:
        shown.append(
            node("unless", "holding" if evaluation.inhibiting else "", "", [each[n] for n in rule.when.unless])
        )
    if state.asked:
        shown.append(node("requests", "waiting", waiting_requests(state)))
    return [*shown, node("limits", "", "", list(_limits(rule, state, remaining_budget, now)))]


def waiting_requests(state: State) -> str:
    """Return what waits of the requests of a key, in words; empty if nothing does."""
    slots = [asked.scheduled_at for asked in state.asked if asked.backfill]
    by_hand = len(state.asked) - len(slots)
    parts = [f"{by_hand} manual"] if by_hand else []
    if slots:
        parts.append(f"{many(len(slots), 'slot')} of a backfill, next {moment(slots[0])}")
    return ", ".join(parts)


def _group(condition: ConditionGroup, each: dict[str, Node], *, due: bool | None = None, name: str = "") -> Node:
    within = f"within {span(condition.within)}" if condition.within is not None else ""
    members = [each[m] if isinstance(m, str) else _group(m, each) for m in condition.members]
    state = "" if due is None else "satisfied" if due else "waiting"
    return node(f"{name} {condition.word}".strip(), state, within, members)


def _limits(rule: CompiledRule, state: State, remaining_budget: RemainingBudget | None, now: float) -> Iterator[Node]:
    limits = rule.rule.limits
    yield node("mode", "paused" if rule.paused else rule.rule.mode, "")
    yield node("overlap", limits.overlap, f"{state.active} active")
    if limits.cooldown is not None:
        yield _cooldown(rule, state, now)
    if rule.mutes:
        until = muted_until(rule, now)
        names = ", ".join(name for name, _ in rule.mutes)
        end = "" if until is None else f" until {moment(until)}" if until > now else ", never ends"
        yield node("mute", "off" if until is None else "muted", names + end)
    if remaining_budget is not None:
        yield node("budget", "within" if remaining_budget.runs > 0 else "spent", remaining_budget.detail)
    if limits.pause_after_failures is not None:
        text = f"{part(state.failures, limits.pause_after_failures, 'failure')} in a row"
        measure = Measure(state.failures, limits.pause_after_failures, unit="failures")
        yield node("circuit breaker", "open" if state.broken else "closed", text, measure=measure)
    if limits.deadline is not None and state.due is not None:
        yield node("deadline", "running", f"skipped at {moment(state.due.since + limits.deadline)}")
    if limits.pool is not None:
        yield node("pool", limits.pool, f"priority {limits.priority}")


def _cooldown(rule: CompiledRule, state: State, now: float) -> Node:
    rest, length = cooldown_end(rule, state), rest_for(rule, state)
    if rest is None:
        return node("cooldown", "over", "no run yet")
    longer = f" ({span(length)}, {state.unpromoted} not promoted)" if state.unpromoted else ""
    measure = Measure(min(length, now - rest + length), length, unit="seconds") if length else None
    return node("cooldown", "over" if now >= rest else "resting", f"until {moment(rest)}{longer}", measure=measure)
