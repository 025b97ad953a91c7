"""One rule with its state, for tests of the pure rule evaluation: no store and no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.config.models import Rule
from retrainer.rules.compile import CompiledRule, compile_rule
from retrainer.rules.decide import step
from retrainer.rules.fold import first_state
from retrainer.rules.outcome import (
    Arrived,
    Backfill,
    Decision,
    Ended,
    Imported,
    Input,
    Manual,
    NewRun,
    PromotionReported,
    Resumed,
    Sample,
    Sampled,
    SlotRecord,
    Step,
    UpstreamEnded,
    Wake,
    Withdrawn,
)
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.rules.limits import RemainingBudget

DATA = {"data": {"source": "push"}}
START = 1_800_000_000.0  # Friday 2027-01-15 08:00:00 UTC


def rule(
    triggers: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, paused: bool = False, **more: Any
) -> CompiledRule:
    submit = {"workflow_template": "train", **more.pop("submit", {})}
    body = {"name": "churn", "triggers": triggers or {"new": DATA}, "limits": limits or {}, "submit": submit, **more}
    return compile_rule(Rule.model_validate(body), "r1", {}, paused=paused)


def batch(**of: Any) -> dict[str, Any]:
    return {"new": {"data": {"source": "push", "batch": of}}}


def metric(**of: Any) -> dict[str, Any]:
    """A metric trigger with the threshold `above: 0.2` and no jitter, unless ``of`` says otherwise."""
    threshold = {} if "below" in of else {"above": 0.2}
    return {"drift": {"metric": {"source": "prometheus", "expr": "psi", "jitter": "0s", **threshold, **of}}}


class World:
    """One (rule, key), driven step by step. `births` are the active runs, oldest first."""

    def __init__(self, compiled: CompiledRule, now: float = START) -> None:
        self.rule, self.now, self.seq = compiled, now, 0
        self.remaining_budget: RemainingBudget | None = None
        self.state = first_state(compiled, "", now)
        self.births: list[NewRun] = []
        self.slots: list[SlotRecord] = []
        self.stops: list[str] = []
        self.decisions: Sequence[Decision] = ()
        """Those of the last input."""
        self.give(Wake())  # as the engine does when it loads a rule

    def give(self, given: Input) -> list[str]:
        """Apply one input and return the decisions as `kind reason`."""
        self.state, done = step(self.rule, self.state, given, self.now, self.remaining_budget)
        return self._keep(done)

    def _keep(self, done: Step) -> list[str]:
        self.decisions = done.decisions
        for decision in done.decisions:
            if decision.new_run is not None:
                self.births.append(decision.new_run)
        self.slots += done.slots
        if done.stop:
            self.stops.append(done.stop)
        return [f"{d.kind.value} {d.reason.value}" for d in done.decisions]

    def after(self, seconds: float) -> World:
        self.now += seconds
        return self

    def event(self, size: int = 0, rows: int = 0, triggers: tuple[str, ...] = ("new",)) -> list[str]:
        self.seq += 1
        came = (1, size, rows)
        return self.give(Arrived(self.seq, self.now - 5, f"file-{self.seq}", dict.fromkeys(triggers, came), came))

    def wake(self) -> list[str]:
        """Advance the clock to the next wake-up of the state, and apply it."""
        assert self.state.wake_at is not None
        assert self.state.wake_at > self.now
        self.now = self.state.wake_at
        return self.give(Wake())

    def wake_until(self, moment: float) -> list[str]:
        """Apply all wake-ups until ``moment``; return their decisions."""
        decided = []
        while self.state.wake_at is not None and self.state.wake_at <= moment:
            decided += self.wake()
        self.now = moment
        return decided

    def poll(self, values: Mapping[str, float | None] | float | None, trigger: str = "drift") -> list[str]:
        """Apply a poll. ``values`` are those of all series, or of the only one. None is a series without a number."""
        given = values if not isinstance(values, float | int | None) else {"a": values}
        samples = tuple(Sample(series, value, self.now) for series, value in given.items())
        return self.give(Sampled(trigger, samples, whole=True))

    def poll_fails(self, trigger: str = "drift") -> list[str]:
        return self.give(Sampled(trigger, (), whole=True, trouble="connection refused"))

    def sample(self, value: float | None, at: float | None = None, series: str = "a") -> list[str]:
        """Apply a pushed value with the time ``at``."""
        return self.give(Sampled("drift", (Sample(series, value, self.now if at is None else at),)))

    def alert(self, firing: bool, at: float, fingerprint: str = "f", trigger: str = "page") -> list[str]:
        """Apply an alert that started or ended at ``at``."""
        return self.give(Sampled(trigger, (Sample(fingerprint, float(firing), at),)))

    def follow(self, run: str = "upstream-1", trigger: str = "rebuilt") -> list[str]:
        return self.give(UpstreamEnded(trigger, run))

    def judge(self, promoted: bool) -> list[str]:
        return self.give(PromotionReported("run", promoted))

    def tell_age(self, succeeded_at: float | None = None, promoted_at: float | None = None) -> list[str]:
        return self.give(Imported(succeeded_at, promoted_at))

    def end(
        self, phase: str = "SUCCEEDED", attempt: int = 1, by_request: bool = False, promoted: bool | None = None
    ) -> list[str]:
        new_run = self.births.pop(0)
        return self.give(
            Ended(
                "run",
                RunPhase(phase),
                attempt,
                by_request,
                new_run.window,
                new_run.taken,
                promoted=promoted,
                triggers=new_run.triggers,
            )
        )

    def manual(self, request: str = "", **parameters: str) -> list[str]:
        return self.give(Manual(parameters, request))

    def backfill(self, *slots: float, trigger: str = "nightly", request: str = "", **parameters: str) -> list[str]:
        return self.give(Backfill(tuple((trigger, slot) for slot in slots), parameters, request, "anna"))

    def withdraw(self, *, manual: bool = False) -> list[str]:
        return self.give(Withdrawn(manual))

    def resume(self) -> list[str]:
        return self.give(Resumed())
