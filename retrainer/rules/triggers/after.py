"""An `after` trigger is satisfied when a run of another rule has ended, until a run answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.expression import Program, compile_cel
from retrainer.rules.nodes import Node, node
from retrainer.rules.outcome import Reason
from retrainer.rules.triggers.kind import CompiledTrigger, TriggerContext, TriggerKind, Verdict

if TYPE_CHECKING:
    from retrainer.config.models import After
    from retrainer.rules.state import State

_ENDED = {
    "succeeded": "succeeded",
    "promoted": "was promoted",
    "failed": "failed",
    "completed": "ended with any result",
}


@dataclass(frozen=True, slots=True)
class CompiledAfter(CompiledTrigger):
    """An `after` trigger of a rule. ``judge`` is only called once an upstream run has ended."""

    rule: str
    name: str
    after: After
    where: Program | None

    def judge(self, state: State, now: float) -> Verdict:
        return Verdict(True, Reason.UPSTREAM, f"{self.after.rule} ended with run {state.followed[self.name].run}")

    def explain(self, state: State, now: float) -> Node:
        upstream = state.followed.get(self.name)
        if upstream is not None:
            return node(self.name, "satisfied", f"run {upstream.run}")
        return node(self.name, "waiting", f"for a run of {self.after.rule} that {_ENDED[self.after.outcome]}")

    def cause(self, state: State) -> dict[str, Any]:
        return {"run": state.followed[self.name].run}


def _compile(after: After, context: TriggerContext) -> CompiledAfter:
    return CompiledAfter(context.rule, context.name, after, compile_cel(after.where) if after.where else None)


KIND = TriggerKind(_compile, ("rule", "outcome", "where"), fleeting=True)
