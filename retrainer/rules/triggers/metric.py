"""A metric trigger is satisfied while a value, queried or pushed, has crossed its threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.expression import Program, StepBudget, compile_cel, event_scope
from retrainer.rules.match import conditions
from retrainer.rules.outcome import Reason, Sample
from retrainer.rules.triggers.kind import TriggerContext, TriggerKind
from retrainer.rules.triggers.level import Threshold, worst
from retrainer.rules.triggers.threshold import CompiledThreshold, label_conditions, series_name
from retrainer.util import values

if TYPE_CHECKING:
    from retrainer.config.models import Metric
    from retrainer.event import Event
    from retrainer.rules.state import State

MOST_LABELS = 64
"""Maximum number of labels of a pushed value."""
LONGEST_LABELS = 16384
"""Maximum characters of the labels' names and values together."""


@dataclass(frozen=True, slots=True)
class CompiledMetric(CompiledThreshold):
    """A metric trigger of a rule. ``value`` computes the value of a pushed event."""

    value: Program | None = None

    def sample(self, event: Event, balance: StepBudget | None = None) -> Sample:
        if self.value is None and "value" not in event.data:
            raise ValueError("there is no `event.data.value`: say by `value:` where the number stands")
        value: Any = event.data.get("value")
        if self.value is not None:
            value = self.value.evaluate({"event": event_scope(event)}, balance)
        text = self.value.text if self.value is not None else "event.data.value"
        try:
            return Sample(_series(event), values.number(value), event.time)
        except ValueError as error:
            raise ValueError(f"`{text}` {error}") from None

    def cause(self, state: State) -> dict[str, Any]:
        known, limit = state.gauges.get(self.name), self.threshold
        value = worst(limit, known.series.values()) if known is not None else None
        held = {"for_seconds": limit.hold} if limit.hold else {}
        return {"value": value, "above" if limit.high else "below": limit.bound, "clear": limit.clear, **held}


def _series(event: Event) -> str:
    """The series name: values of one metric with the same labels are one series."""
    labels = values.labels(event.data.get("labels"))
    if len(labels) > MOST_LABELS:
        raise ValueError(f"of a series that has {len(labels)} labels; at most {MOST_LABELS} are allowed")
    size = sum(len(name) + len(value) for name, value in labels.items())
    if size > LONGEST_LABELS:
        raise ValueError(f"of a series whose labels have {size} characters; at most {LONGEST_LABELS} are allowed")
    return series_name(values.text(event.data.get("metric")) or "", labels)


def _compile(metric: Metric, context: TriggerContext) -> CompiledMetric:
    high = metric.above is not None
    bound = metric.above if metric.above is not None else metric.below or 0.0
    threshold = Threshold(
        bound=bound,
        clear=bound if metric.clear is None else metric.clear,
        high=high,
        hold=metric.for_,
        row=metric.consecutive,
        series=metric.at_least.series or 1,
        percent=metric.at_least.percent,
        of=metric.at_least.of,
        no_data=metric.no_data,
        max_age=metric.max_sample_age,
        repeat=metric.repeat_interval,
    )
    return CompiledMetric(
        rule=context.rule,
        name=context.name,
        source=metric.source,
        conditions=label_conditions(metric.match) if metric.expr else conditions(metric.match),
        threshold=threshold,
        reason=Reason.THRESHOLD,
        by=context.by,
        jitter=metric.jitter,
        expr=metric.expr,
        sample_time=metric.sample_time,
        value=compile_cel(metric.value) if metric.value else None,
    )


KIND = TriggerKind(_compile, ("source", "expr", "match", "value", "sample_time", "above", "below", "clear"))
