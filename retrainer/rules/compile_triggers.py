"""Compiled metric, alert and `after` triggers."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.rules.expression import Program, compile_cel, event_scope
from retrainer.rules.match import Condition, condition_at, conditions
from retrainer.rules.outcome import Reason, Sample
from retrainer.rules.triggers.level import Threshold
from retrainer.util import values
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.models import After, Alert, Metric, Rule
    from retrainer.event import Event
    from retrainer.rules.expression import StepBudget

LONGEST_SERIES = 2000
"""Maximum characters of a series name."""
ALERT_BOUND = 0.5
"""An alert is evaluated as a metric: 1 while it fires, 0 once it is resolved. This is its threshold."""


MOST_LABELS = 64
"""Maximum number of labels of a pushed value."""
LONGEST_LABELS = 16384
"""Maximum characters of the labels' names and values together."""


@dataclass(frozen=True, slots=True)
class CompiledThreshold:
    """A metric or alert trigger. ``expr`` and ``sample_time`` are queries, for a source that answers queries.

    ``jitter`` (seconds) is spread over rules and keys; ``value`` computes the value of a pushed event.
    """

    rule: str
    name: str
    source: str
    conditions: tuple[Condition, ...]
    threshold: Threshold
    reason: Reason
    jitter: float
    value: Program | None
    by: Program | None
    expr: str | None = None
    sample_time: str | None = None

    def sample(self, event: Event, balance: StepBudget | None = None) -> Sample:
        """The sample of a pushed value or an alert. Raise ValueError if it cannot be read."""
        if self.reason is Reason.ALERT:
            firing = event.data.get("status") == "firing"
            return Sample(_named(str(event.data.get("fingerprint", ""))), float(firing), _began(event))
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


@dataclass(frozen=True, slots=True)
class CompiledAfter:
    """An `after` trigger of a rule."""

    rule: str
    name: str
    after: After
    where: Program | None


def _began(event: Event) -> float:
    """When the alert started (epoch seconds). Alerts are ordered by it, so a late report about an older one is ignored.

    Reports about the same alert apply as they arrive: an alert that was taken for resolved may fire again.
    """
    began = event.data.get("startsAt")
    return epoch(str(began)) if began else event.time


def _series(event: Event) -> str:
    """The series name: values of one metric with the same labels are one series."""
    labels = values.labels(event.data.get("labels"))
    if len(labels) > MOST_LABELS:
        raise ValueError(f"of a series that has {len(labels)} labels; at most {MOST_LABELS} are allowed")
    size = sum(len(name) + len(value) for name, value in labels.items())
    if size > LONGEST_LABELS:
        raise ValueError(f"of a series whose labels have {size} characters; at most {LONGEST_LABELS} are allowed")
    return series_name(values.text(event.data.get("metric")) or "", labels)


def series_name(metric: str, labels: Mapping[str, Any]) -> str:
    """The series name as Prometheus writes it, labels sorted. The metric's name may be the label `__name__`.

    The state of each rule stores it, so a very long name is cut and ends in its hash.
    """
    rest = {name: value for name, value in labels.items() if name != "__name__"}
    inside = ",".join(f"{name}={orjson.dumps(str(rest[name])).decode()}" for name in sorted(rest))
    return _named(f"{metric or labels.get('__name__', '')}{{{inside}}}")


def _named(whole: str) -> str:
    if len(whole) <= LONGEST_SERIES:
        return whole
    return f"{whole[: LONGEST_SERIES - 80]}…sha256:{sha256(whole.encode()).hexdigest()}"


def compile_thresholds(rule: Rule, by: Mapping[str, Program]) -> dict[str, CompiledThreshold]:
    """Compile metric and alert triggers. Raise ValueError for a part that does not compile."""
    gauges = {}
    for name, trigger in rule.triggers.items():
        if trigger.metric:
            gauges[name] = _metric(rule.name, name, trigger.metric, by.get(name))
        elif trigger.alert:
            gauges[name] = _alert(rule.name, name, trigger.alert, by.get(name))
    return gauges


def _metric(rule: str, name: str, metric: Metric, by: Program | None) -> CompiledThreshold:
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
    found = tuple(_label_conditions(metric.match)) if metric.expr else conditions(metric.match)
    value = compile_cel(metric.value) if metric.value else None
    return CompiledThreshold(
        rule,
        name,
        metric.source,
        found,
        threshold,
        Reason.THRESHOLD,
        metric.jitter,
        value,
        by,
        metric.expr,
        metric.sample_time,
    )


def _label_conditions(match: Mapping[str, str | int | float | bool]) -> Iterator[Condition]:
    """Conditions on labels. A label name may have dots, so it is one step of the path."""
    for label, expected in match.items():
        yield condition_at(("labels", label), expected)


def _alert(rule: str, name: str, alert: Alert, by: Program | None) -> CompiledThreshold:
    threshold = Threshold(ALERT_BOUND, ALERT_BOUND, high=True, hold=alert.for_, repeat=alert.repeat_interval)
    found = tuple(_label_conditions(alert.match))
    return CompiledThreshold(rule, name, alert.source, found, threshold, Reason.ALERT, 0.0, None, by)


def compile_afters(rule: Rule) -> dict[str, CompiledAfter]:
    """Compile `after` triggers. Raise ValueError for a `where` that does not compile."""
    return {
        name: CompiledAfter(rule.name, name, t.after, compile_cel(t.after.where) if t.after.where else None)
        for name, t in rule.triggers.items()
        if t.after
    }
