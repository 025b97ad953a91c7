"""Metrics that were never polled: the results that polls would have had, from Prometheus."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.config.models import PrometheusSource
from retrainer.engine.intake.samples import QUERY
from retrainer.event import Event
from retrainer.simulate.history import HistoryRecord
from retrainer.sources.base import Query

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.engine.core.catalog import Catalog, Poll
    from retrainer.simulate.history import History

ABSENT = math.inf
"""Placeholder for a poll that did not find the series. NaN is used for a value that is not a number."""


@dataclass(frozen=True, slots=True)
class Column:
    """A series: ``values`` at each time of its range, and the ``times`` of the samples if they differ from it."""

    labels: Mapping[str, str]
    name: str
    values: array[float]
    times: array[float] | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """The results of a query at ``count`` times, ``step`` seconds apart, from ``start`` on (epoch seconds).

    ``troubles`` has the error of failed polls, by number.
    """

    source: str
    expr: str
    start: float
    step: float
    count: int
    columns: tuple[Column, ...]
    sample_time: str | None = None
    troubles: Mapping[int, str] = field(default_factory=dict)

    @property
    def query(self) -> Query:
        return Query(self.expr, self.sample_time)

    def at(self, i: int) -> float:
        return self.start + i * self.step

    def record(self, i: int) -> HistoryRecord:
        """Return the poll with number ``i``, as a source reports it."""
        at = self.at(i)
        trouble = self.troubles.get(i, "")
        series = [
            {"labels": dict(c.labels), "value": _number(c.values[i]), "time": at if c.times is None else c.times[i]}
            for c in self.columns
            if c.values[i] != ABSENT and not trouble
        ]
        data = {"expr": self.expr, "sample_time": self.sample_time or "", "series": series, "error": trouble}
        return HistoryRecord(at, Event(self.source, f"{self.expr}:{at}", QUERY, at, data, self.expr))

    def records(self) -> Iterator[HistoryRecord]:
        return (self.record(i) for i in range(self.count))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


Wanted = Callable[[Mapping[str, str]], bool]
"""Whether a series with these labels is used."""


def missing(
    catalog: Catalog, configuration: Configuration, history: History, since: float, until: float
) -> Iterator[tuple[Range, Wanted]]:
    """Yield the queries of these rules that the history does not have, as ranges to be filled."""
    for (source, query), poll in catalog.polls.items():
        config = configuration.sources.get(source)
        if (source, query.expr) in history.polled or not isinstance(config, PrometheusSource):
            continue
        step = config.polling_interval
        start = math.ceil(since / step) * step
        count = max(0, int((until - start) // step) + 1)
        yield Range(source, query.expr, start, step, count, (), query.sample_time), _wanted(poll)


def _wanted(poll: Poll) -> Wanted:
    def ask(labels: Mapping[str, str]) -> bool:
        event = Event(poll.gauges[0].source, "", "", 0.0, {"labels": labels})
        return any(all(condition.holds(event) for condition in gauge.conditions) for gauge in poll.gauges)

    return ask
