"""The causes of a run: the tree of triggers that made the rule due. It is stored on the run and on its Workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.evaluate import threshold
from retrainer.rules.outcome import Reason
from retrainer.rules.triggers.level import worst
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.condition import ConditionGroup
    from retrainer.rules.evaluate import Evaluation
    from retrainer.rules.state import State

Node = dict[str, Any]


def because(rule: CompiledRule, state: State, evaluation: Evaluation, names: Collection[str]) -> Node:
    """The triggers ``names``, combined as in `when`; triggers that were not satisfied are left out.

    A node is a trigger with its reason and detail, or the word of a group with its members.
    """
    each = {name: _trigger(rule, state, evaluation, name) for name in names}
    if not each:
        return {}
    return {"any": list(each.values())} if rule.when.condition is None else _group(rule.when.condition, each)


def _group(condition: ConditionGroup, each: Mapping[str, Node]) -> Node:
    members = [each.get(m) if isinstance(m, str) else _group(m, each) for m in condition.members]
    known = [member for member in members if member]
    if not known:
        return {}
    return {condition.word: known, **({} if condition.within is None else {"within_seconds": condition.within})}


def _trigger(rule: CompiledRule, state: State, evaluation: Evaluation, name: str) -> Node:
    verdict = evaluation.satisfied.get(name)
    if verdict is None:
        return {"trigger": name, "detail": "made the rule due, and is no longer satisfied"}
    node = {"trigger": name, "reason": verdict.reason.value, "detail": verdict.detail}
    if verdict.reason is Reason.SCHEDULE:
        return node | {"slot": moment(state.cursors[name].due[0])}
    if verdict.reason is Reason.THRESHOLD:
        return node | _values(rule, state, name)
    if verdict.reason is Reason.UPSTREAM:
        return node | {"run": state.followed[name].run}
    if verdict.reason is Reason.BATCH_COMPLETE:
        return node | _batch(rule, state, name)
    if verdict.reason is Reason.STALE:
        return node | {"max_age_seconds": rule.freshness[name].max_age}
    return node


def _batch(rule: CompiledRule, state: State, name: str) -> Node:
    window, batch = state.windows[name], rule.data[name].batch
    if batch.at_least is None:
        return {"events": window.events}
    asked = batch.at_least.model_dump(exclude_none=True)
    return {**{unit: getattr(window, unit) for unit in asked}, "at_least": asked}


def _values(rule: CompiledRule, state: State, name: str) -> Node:
    asked = threshold(rule, name, state)
    known = state.gauges.get(name)
    value = worst(asked, known.series.values()) if known is not None else None
    held = {"for_seconds": asked.hold} if asked.hold else {}
    return {"value": value, "above" if asked.high else "below": asked.bound, "clear": asked.clear, **held}
