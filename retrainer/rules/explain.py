"""Why, and why not: one line and a tree of live values, from the same functions that decide."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrainer.rules.decide import weigh
from retrainer.rules.limits import cooldown_end, held_back
from retrainer.rules.outcome import Reason
from retrainer.rules.triggers.data import judge

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Decision
    from retrainer.rules.state import State


def explain(rule: CompiledRule, key: str, state: State, now: float) -> dict[str, Any]:
    """The verdict at `now`: would it fire, and if not, what holds it, and when could it at the earliest."""
    weighed = weigh(rule, state, now)
    due = bool(weighed.satisfied or state.asked or state.due)
    held = held_back(rule, state, now)
    decision, reason, until = _verdict(due, held, weighed.pending)
    earliest = _earliest(state, due, held, weighed.pending, now)
    told = held.detail if held is not None and held.reason.value == reason else _why(weighed)
    line = _line(rule.name, key, decision, reason, told, earliest)
    return {
        "rule": rule.name,
        "key": key,
        "verdict": line,
        "decision": decision,
        "reason": reason,
        "until": until,
        "earliest": earliest,
        "tree": _tree(rule, state, now),
    }


def _verdict(due: bool, held: Decision | None, pending: Any) -> tuple[str, str, float | None]:
    if held is not None and held.reason in (Reason.PAUSED, Reason.CIRCUIT_OPEN):
        return held.kind.value, held.reason.value, None
    if due and held is None:
        return "fire", "due", None
    if due and held is not None:
        return held.kind.value, held.reason.value, held.until
    if pending:
        verdict = pending[0][1]
        return "hold", verdict.reason.value, verdict.until
    return "hold", "waiting", None


def _why(weighed: Any) -> str:
    parts = list(weighed.details) or [f"{name}: {verdict.detail}" for name, verdict in weighed.pending]
    return "; ".join(parts) or "nothing is due"


def _earliest(state: State, due: bool, held: Decision | None, pending: Any, now: float) -> float | None:
    """The first moment known now; None if it depends on something to come."""
    if held is not None and held.until is None:
        return None
    rest = held.until if held is not None and held.until is not None else now
    if due:
        return rest
    moments = [c.next_at for c in state.cursors.values() if c.next_at is not None]
    moments += [v.until for _, v in pending if v.until is not None]
    return max(min(moments), rest) if moments else None


def _line(rule: str, key: str, decision: str, reason: str, detail: str, earliest: float | None) -> str:
    name = f"{rule}[{key}]" if key else rule
    verb = {"fire": "would fire now", "hold": f"is held: {reason}", "skip": f"would skip: {reason}"}[decision]
    when = f"; at the earliest {moment(earliest)}" if earliest is not None and decision != "fire" else ""
    return f"{name} {verb} ({detail}){when}"


def _tree(rule: CompiledRule, state: State, now: float) -> list[dict[str, Any]]:
    triggers = [_schedule(name, state) for name in rule.schedules] + [
        _data(rule, name, state, now) for name in rule.data
    ]
    return [_node("triggers", "any", "", triggers), _node("limits", "", "", _limits(rule, state, now))]


def _schedule(name: str, state: State) -> dict[str, Any]:
    cursor = state.cursors.get(name)
    if cursor is None:
        return _node(name, "waiting", "the schedule speaks for every live key")
    if cursor.due:
        return _node(name, "satisfied", f"slot {moment(cursor.due[0])} is due")
    return _node(name, "waiting", f"next slot at {moment(cursor.next_at)}" if cursor.next_at else "no further slot")


def _data(rule: CompiledRule, name: str, state: State, now: float) -> dict[str, Any]:
    window = state.windows.get(name)
    if window is None or not window.events:
        return _node(name, "waiting", "no data pending")
    verdict = judge(rule.data[name].batch, window, now, fresh=window.fresh)
    detail = verdict.detail + (f"; by itself at {moment(verdict.until)}" if verdict.until else "")
    values = [
        _node(unit, str(value), "pending")
        for unit, value in (("events", window.events), ("bytes", window.bytes), ("rows", window.rows))
    ]
    return _node(name, "satisfied" if verdict.satisfied else verdict.reason.value, detail, values)


def _limits(rule: CompiledRule, state: State, now: float) -> list[dict[str, Any]]:
    limits = rule.rule.limits
    rest = cooldown_end(limits, state)
    nodes = [
        _node("mode", "paused" if rule.paused else rule.rule.mode, ""),
        _node("overlap", limits.overlap, f"{state.active} on the way"),
    ]
    if limits.cooldown is not None:
        open_ = rest is None or now >= rest
        nodes.append(
            _node("cooldown", "over" if open_ else "resting", f"until {moment(rest)}" if rest else "no run yet")
        )
    if limits.pause_after_failures is not None:
        text = f"{state.failures} of {limits.pause_after_failures} failures in a row"
        nodes.append(_node("circuit breaker", "open" if state.broken else "closed", text))
    if limits.deadline is not None and state.due is not None:
        nodes.append(_node("deadline", "running", f"given up at {moment(state.due.since + limits.deadline)}"))
    if limits.pool is not None:
        nodes.append(_node("pool", limits.pool, f"priority {limits.priority}"))
    return nodes


def _node(name: str, state: str, detail: str, children: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"name": name, "state": state, "detail": detail, "children": children or []}


def moment(seconds: float | None) -> str:
    """RFC 3339, in UTC."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
