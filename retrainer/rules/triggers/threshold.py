"""What metric and alert triggers share: values of series, evaluated against a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.rules.match import Condition, condition_at
from retrainer.rules.nodes import Measure, Node, node
from retrainer.rules.threshold_state import Series, ThresholdState
from retrainer.rules.triggers import level
from retrainer.rules.triggers.kind import CompiledTrigger, Verdict
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.event import Event
    from retrainer.rules.expression import Program, StepBudget
    from retrainer.rules.outcome import Reason, Sample
    from retrainer.rules.state import State

LONGEST_SERIES = 2000
"""Maximum characters of a series name."""
MOST_SERIES = 20
"""Maximum number of listed series of a trigger; those that crossed come first."""


@dataclass(frozen=True, slots=True)
class CompiledThreshold(CompiledTrigger):
    """A trigger whose state is a `ThresholdState`.

    ``expr`` and ``sample_time`` are queries, for a source that answers queries. ``jitter`` (seconds) is spread over
    rules and keys.
    """

    rule: str
    name: str
    source: str
    conditions: tuple[Condition, ...]
    threshold: level.Threshold
    reason: Reason
    by: Program | None
    jitter: float = 0.0
    expr: str | None = None
    sample_time: str | None = None

    def sample(self, event: Event, balance: StepBudget | None = None) -> Sample:
        """The sample of an event that its source pushed. Raise ValueError if it cannot be read."""
        raise NotImplementedError

    def threshold_of(self, state: State) -> level.Threshold:
        """The threshold with this key's share of the jitter."""
        return self.threshold.spread(self.jitter * state.share)

    def judge(self, state: State, now: float) -> Verdict:
        verdict = level.judge(self.threshold_of(state), state.gauges.get(self.name) or ThresholdState())
        return Verdict(True, self.reason, verdict.detail) if verdict.satisfied else verdict

    def explain(self, state: State, now: float) -> Node:
        known = (state.gauges.get(self.name) or ThresholdState()).series
        first = sorted(known.items(), key=lambda item: (not item[1].raised, item[1].since is None, item[0]))
        shown = [
            node(name or "no series", _shown(one), _last(one), measure=self._measure(one))
            for name, one in first[:MOST_SERIES]
        ]
        if len(first) > MOST_SERIES:
            shown.append(node("more", str(len(first) - MOST_SERIES), "series"))
        return self._explained(self.judge(state, now), children=shown)

    def _measure(self, series: Series) -> Measure | None:
        limit = self.threshold
        if series.value is None or limit.alerts:
            return None
        return Measure(series.value, limit.bound, "above" if limit.high else "below", clear=limit.clear)


def _last(series: Series) -> str:
    return "no value yet" if series.value is None else f"{series.value:g} at {moment(series.at)}"


def _shown(series: Series) -> str:
    if not series.live:
        return "no_data"
    return "raised" if series.raised else "crossed" if series.since is not None else "clear"


def label_conditions(match: Mapping[str, str | int | float | bool]) -> tuple[Condition, ...]:
    """Conditions on labels. A label name may have dots, so it is one step of the path."""
    return tuple(condition_at(("labels", label), expected) for label, expected in match.items())


def series_name(metric: str, labels: Mapping[str, Any]) -> str:
    """The series name as Prometheus writes it, labels sorted. The metric's name may be the label `__name__`.

    The state of each rule stores it, so a very long name is cut and ends in its hash.
    """
    rest = {name: value for name, value in labels.items() if name != "__name__"}
    inside = ",".join(f"{name}={orjson.dumps(str(rest[name])).decode()}" for name in sorted(rest))
    return series_label(f"{metric or labels.get('__name__', '')}{{{inside}}}")


def series_label(whole: str) -> str:
    if len(whole) <= LONGEST_SERIES:
        return whole
    return f"{whole[: LONGEST_SERIES - 80]}…sha256:{sha256(whole.encode()).hexdigest()}"
