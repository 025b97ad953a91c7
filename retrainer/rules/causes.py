"""The causes of a run: the tree of triggers that made the rule due. It is stored on the run and on its Workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.condition import ConditionGroup
    from retrainer.rules.evaluate import Evaluation
    from retrainer.rules.nodes import Node
    from retrainer.rules.state import State


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
    values = rule.triggers[name].cause(state)
    return {"trigger": name, "reason": verdict.reason.value, "detail": verdict.detail, **values}
