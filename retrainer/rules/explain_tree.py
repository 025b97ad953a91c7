"""The live values of a rule, as a tree: triggers as `when` combines them, and the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.evaluate import spread, threshold
from retrainer.rules.limits import cooldown_end, muted_until, rest_for
from retrainer.rules.threshold_state import ThresholdState
from retrainer.rules.triggers import data, freshness, level
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.condition import ConditionGroup
    from retrainer.rules.evaluate import Evaluation
    from retrainer.rules.limits import RemainingBudget
    from retrainer.rules.state import State
    from retrainer.rules.threshold_state import Series

MOST_SERIES = 20
"""Maximum number of listed series of a metric; those that crossed come first."""
_ENDED = {
    "succeeded": "succeeded",
    "promoted": "was promoted",
    "failed": "failed",
    "completed": "ended with any result",
}
Node = dict[str, Any]


def tree(
    rule: CompiledRule, state: State, evaluation: Evaluation, remaining_budget: RemainingBudget | None, now: float
) -> list[Node]:
    """Nodes of `name`, `state`, `detail` and `children`."""
    of_keys = {name: node(name, "", "evaluated for each key separately") for name in rule.rule.triggers}
    each = {**of_keys, **dict(_triggers(rule, state, now))}
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
        shown.append(node("requests", "waiting", _asked(state)))
    return [*shown, node("limits", "", "", list(_limits(rule, state, remaining_budget, now)))]


def _asked(state: State) -> str:
    slots = [asked.scheduled_at for asked in state.asked if asked.backfill]
    by_hand = len(state.asked) - len(slots)
    parts = [f"{by_hand} manual"] if by_hand else []
    if slots:
        parts.append(f"{len(slots)} slot{'s' * (len(slots) > 1)} of a backfill, next {moment(slots[0])}")
    return ", ".join(parts)


def _group(condition: ConditionGroup, each: dict[str, Node], *, due: bool | None = None, name: str = "") -> Node:
    within = f"within {freshness.span(condition.within)}" if condition.within is not None else ""
    members = [each[m] if isinstance(m, str) else _group(m, each) for m in condition.members]
    state = "" if due is None else "satisfied" if due else "waiting"
    return node(f"{name} {condition.word}".strip(), state, within, members)


def _triggers(rule: CompiledRule, state: State, now: float) -> Iterator[tuple[str, Node]]:
    for name in rule.schedules:
        yield name, _schedule(name, state)
    for name in rule.data:
        yield name, _data(rule, name, state, now)
    for name in rule.gauges:
        yield name, _gauge(rule, name, state)
    for name, asked in rule.freshness.items():
        verdict = freshness.judge(asked, state, now, spread(asked.jitter, asked.max_age / 10, state))
        at = f"; too old at {moment(verdict.until)}" if verdict.until else ""
        yield name, node(name, "satisfied" if verdict.satisfied else verdict.reason.value, verdict.detail + at)
    for name, compiled in rule.afters.items():
        upstream = state.followed.get(name)
        waits = f"for a run of {compiled.after.rule} that {_ENDED[compiled.after.outcome]}"
        yield name, node(name, "satisfied", f"run {upstream.run}") if upstream else node(name, "waiting", waits)


def _schedule(name: str, state: State) -> Node:
    cursor = state.cursors.get(name)
    if cursor is None:
        return node(name, "waiting", "the schedule applies to every live key")
    if cursor.due:
        return node(name, "satisfied", f"slot {moment(cursor.due[0])} is due")
    return node(name, "waiting", f"next slot at {moment(cursor.next_at)}" if cursor.next_at else "no further slot")


def _data(rule: CompiledRule, name: str, state: State, now: float) -> Node:
    window = state.windows.get(name)
    if window is None or not window.events:
        return node(name, "waiting", "no data pending")
    verdict = data.judge(rule.data[name].batch, window, now, fresh=window.fresh)
    detail = verdict.detail + (f"; satisfied at {moment(verdict.until)}" if verdict.until else "")
    values = [
        node(unit, str(value), "pending")
        for unit, value in (("events", window.events), ("bytes", window.bytes), ("rows", window.rows))
    ]
    if state.lapsed:
        return node(name, "given up", f"{detail}; waits for new data", values)
    return node(name, "satisfied" if verdict.satisfied else verdict.reason.value, detail, values)


def _gauge(rule: CompiledRule, name: str, state: State) -> Node:
    known = state.gauges.get(name) or ThresholdState()
    verdict = level.judge(threshold(rule, name, state), known)
    until = f"; satisfied at {moment(verdict.until)}" if verdict.until else ""
    first = sorted(known.series.items(), key=lambda item: (not item[1].raised, item[1].since is None, item[0]))
    series = [node(n or "no series", _stand(s), _last(s)) for n, s in first[:MOST_SERIES]]
    if len(first) > MOST_SERIES:
        series.append(node("more", str(len(first) - MOST_SERIES), "series"))
    return node(name, "satisfied" if verdict.satisfied else verdict.reason.value, verdict.detail + until, series)


def _last(series: Series) -> str:
    return "no value yet" if series.value is None else f"{series.value:g} at {moment(series.at)}"


def _stand(series: Series) -> str:
    if not series.live:
        return "no_data"
    return "raised" if series.raised else "crossed" if series.since is not None else "clear"


def _limits(rule: CompiledRule, state: State, remaining_budget: RemainingBudget | None, now: float) -> Iterator[Node]:
    limits = rule.rule.limits
    yield node("mode", "paused" if rule.paused else rule.rule.mode, "")
    yield node("overlap", limits.overlap, f"{state.active} active")
    if limits.cooldown is not None:
        rest = cooldown_end(rule, state)
        over = rest is None or now >= rest
        span = (
            f" ({freshness.span(rest_for(rule, state))}, {state.unpromoted} not promoted)" if state.unpromoted else ""
        )
        yield node("cooldown", "over" if over else "resting", f"until {moment(rest)}{span}" if rest else "no run yet")
    if rule.mutes:
        until = muted_until(rule, now)
        names = ", ".join(name for name, _ in rule.mutes)
        end = "" if until is None else f" until {moment(until)}" if until > now else ", never ends"
        yield node("mute", "off" if until is None else "muted", names + end)
    if remaining_budget is not None:
        yield node("budget", "within" if remaining_budget.runs > 0 else "spent", remaining_budget.detail)
    if limits.pause_after_failures is not None:
        text = f"{state.failures} of {limits.pause_after_failures} failures in a row"
        yield node("circuit breaker", "open" if state.broken else "closed", text)
    if limits.deadline is not None and state.due is not None:
        yield node("deadline", "running", f"skipped at {moment(state.due.since + limits.deadline)}")
    if limits.pool is not None:
        yield node("pool", limits.pool, f"priority {limits.priority}")


def node(name: str, state: str, detail: str, children: list[Node] | None = None) -> Node:
    return {"name": name, "state": state, "detail": detail, "children": children or []}
