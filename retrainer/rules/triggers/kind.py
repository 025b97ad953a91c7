"""What a kind of trigger consists of. Each kind has a module of its name here, with its `KIND`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from retrainer.rules.nodes import Measure, Node, node
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.config.models import Calendar
    from retrainer.rules.expression import Program
    from retrainer.rules.outcome import Reason
    from retrainer.rules.state import State


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of evaluating a trigger.

    ``until``: when it will be satisfied without further input (epoch seconds); None if unknown.
    """

    satisfied: bool
    reason: Reason
    detail: str
    until: float | None = None


@dataclass(frozen=True, slots=True)
class TriggerContext:
    """What a trigger is compiled with: its rule and name, the expression of its key, and the calendars."""

    rule: str
    name: str
    by: Program | None
    calendars: Mapping[str, Calendar]


class CompiledTrigger:
    """A trigger of a rule. ``starts_alone``: it may become satisfied without any input, from when the rule is new."""

    __slots__ = ()
    name: str
    starts_alone: ClassVar[bool] = False

    def judge(self, state: State, now: float) -> Verdict:
        """Evaluate the trigger at ``now`` (epoch seconds)."""
        raise NotImplementedError

    def explain(self, state: State, now: float) -> Node:
        """Return the live values of the trigger."""
        return self._explained(self.judge(state, now))

    def cause(self, state: State) -> dict[str, Any]:
        """Return the values that are stored on a run that the satisfied trigger helped to start."""
        return {}

    def _explained(
        self,
        verdict: Verdict,
        then: str = "satisfied",
        children: list[Node] | None = None,
        measure: Measure | None = None,
    ) -> Node:
        until = f"; {then} at {moment(verdict.until)}" if verdict.until else ""
        shown = "satisfied" if verdict.satisfied else verdict.reason.value
        return node(self.name, shown, verdict.detail + until, children, measure)


@dataclass(frozen=True, slots=True)
class TriggerKind:
    """``compile`` gets the model and raises ValueError for a part that does not compile.

    ``state_fields`` are the fields of the model that stored state depends on. ``fleeting``: `within` of a group in
    `when` applies to it.
    """

    compile: Callable[[Any, TriggerContext], CompiledTrigger]
    state_fields: tuple[str, ...] = ()
    fleeting: bool = False
