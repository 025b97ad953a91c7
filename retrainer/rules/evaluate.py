"""Evaluate the triggers of a rule, and whether together they make it due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.condition import holds
from retrainer.rules.outcome import Reason
from retrainer.rules.triggers import data
from retrainer.rules.triggers.kind import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State


_SLOT = Verdict(True, Reason.SCHEDULE, "slot due")
_NOTHING: Mapping[str, Verdict] = {}
_NOTHING_SINCE: Mapping[str, float] = {}


@dataclass(slots=True)
class Evaluation:
    """``satisfied`` are the triggers that can start a run, with their verdicts; ``pending`` those that cannot yet.

    ``since`` is when each satisfied trigger became so (epoch seconds). ``inhibiting`` are the satisfied triggers of
    `unless`. ``due``: the satisfied triggers meet `when`.
    """

    satisfied: Mapping[str, Verdict]
    pending: Sequence[tuple[str, Verdict]]
    inhibiting: Mapping[str, Verdict]
    since: Mapping[str, float]
    due: bool

    @property
    def detail(self) -> str:
        return "; ".join(f"{name}: {verdict.detail}" for name, verdict in self.satisfied.items())


_NOTHING_SATISFIED = Evaluation({}, (), {}, {}, due=False)


def evaluate(rule: CompiledRule, state: State, now: float) -> Evaluation:
    """Evaluate each trigger, then `when`."""
    others = rule.others or state.followed
    if not (state.windows or state.cursors or others or rule.when.condition):
        return _NOTHING_SATISFIED
    satisfied: dict[str, Verdict] = {}
    pending: list[tuple[str, Verdict]] = []
    for name, cursor in state.cursors.items():
        if cursor.due:
            satisfied[name] = _SLOT
    for name, window in state.windows.items():
        if window.events and not state.lapsed and name in rule.data:
            verdict = data.judge(rule.data[name].batch, window, now)
            if verdict.satisfied:
                satisfied[name] = verdict
            else:
                pending.append((name, verdict))
    inhibiting = _NOTHING
    if others:
        inhibiting = _evaluate_others(rule, state, now, satisfied, pending)
    when = rule.when
    if when.condition is None:
        return Evaluation(satisfied, pending, inhibiting, _NOTHING_SINCE, bool(satisfied))
    since = {name: state.since.get(name, now) for name in satisfied}
    due = holds(when.condition, renewed(since, state), when.fleeting, now)
    return Evaluation(satisfied, pending, inhibiting, since, due)


def _evaluate_others(
    rule: CompiledRule, state: State, now: float, satisfied: dict[str, Verdict], pending: list[tuple[str, Verdict]]
) -> Mapping[str, Verdict]:
    """Evaluate triggers that are neither schedules nor data; return the satisfied ones that `unless` names."""
    inhibiting = {}
    for name, verdict in _others(rule, state, now):
        if name in rule.when.unless:
            if verdict.satisfied:
                inhibiting[name] = verdict
        elif verdict.satisfied:
            satisfied[name] = verdict
        else:
            pending.append((name, verdict))
    return inhibiting


def renewed(since: Mapping[str, float], state: State) -> dict[str, float]:
    """``since``, with each data trigger renewed at its last arrival: every event renews a complete batch."""
    moments = dict(since)
    for name, window in state.windows.items():
        if name in moments:
            moments[name] = max(moments[name], window.last_at)
    return moments


def _others(rule: CompiledRule, state: State, now: float) -> Iterator[tuple[str, Verdict]]:
    for name, trigger in rule.others.items():
        yield name, trigger.judge(state, now)
    for name in state.followed:
        if name in rule.afters:
            yield name, rule.afters[name].judge(state, now)
