"""A freshness trigger is satisfied when the last successful or promoted run is too old."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.nodes import Measure
from retrainer.rules.outcome import Reason
from retrainer.rules.triggers.kind import CompiledTrigger, TriggerKind, Verdict

if TYPE_CHECKING:
    from retrainer.config.models import Freshness
    from retrainer.rules.nodes import Node
    from retrainer.rules.state import State

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))


@dataclass(frozen=True, slots=True)
class CompiledFreshness(CompiledTrigger):
    """A freshness trigger of a rule."""

    starts_alone = True
    name: str
    freshness: Freshness

    def judge(self, state: State, now: float) -> Verdict:
        """Evaluate the age. `jitter` delays the first run, also for a model whose age was imported.

        An active run may be the answer, so the trigger is not satisfied meanwhile. After a run that does not count, or
        an expired deadline, `min_retry_interval` prevents a rule without a cooldown from starting another run at once.
        """
        last = self._last(state)
        age = self._age(state, now)
        detail = f"{span(age)} old, at most {span(self.freshness.max_age)}"
        if state.active:
            return Verdict(False, Reason.FRESH, f"{detail}; a run is active")
        due = self._due(state, last)
        return Verdict(True, Reason.STALE, detail) if now >= due else Verdict(False, Reason.FRESH, detail, due)

    def explain(self, state: State, now: float) -> Node:
        measure = Measure(self._age(state, now), self.freshness.max_age, unit="seconds")
        return self._explained(self.judge(state, now), "too old", measure=measure)

    def _last(self, state: State) -> float | None:
        return state.last_promoted if self.freshness.of == "promoted" else state.last_succeeded

    def _age(self, state: State, now: float) -> float:
        last = self._last(state)
        return now - (last if last is not None else state.seen_at)

    def cause(self, state: State) -> dict[str, Any]:
        return {"max_age_seconds": self.freshness.max_age}

    def _due(self, state: State, last: float | None) -> float:
        """When the model is too old (epoch seconds). ``last`` is when the last run that counts ended."""
        max_age = self.freshness.max_age
        jitter = (max_age / 10 if self.freshness.jitter is None else self.freshness.jitter) * state.share
        due = last + max_age if last is not None else state.seen_at + max_age + jitter
        if last is not None and state.imported_at is not None and last <= state.imported_at:
            due = max(due, state.imported_at + jitter)
        for tried in (state.last_completed, state.gave_up_at):
            if tried is not None and (last is None or tried > last):
                due = max(due, tried + self.freshness.min_retry_interval)
        return due


def needs_promotion(trigger: CompiledTrigger) -> bool:
    """Whether it is a freshness trigger for which only promoted runs count."""
    return isinstance(trigger, CompiledFreshness) and trigger.freshness.of == "promoted"


def span(seconds: float) -> str:
    """The duration in the largest unit that fits, with one decimal if needed."""
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + unit
    return "0s"


KIND = TriggerKind(lambda freshness, context: CompiledFreshness(context.name, freshness))
