"""Data for the chart of a simulation: the amount of data of each rule, and its metrics over time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from retrainer.engine.core.catalog import build_catalog
from retrainer.engine.intake.samples import QUERY
from retrainer.event import Event
from retrainer.rules.triggers.threshold import series_name
from retrainer.simulate.ranges import ABSENT
from retrainer.sources.base import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from retrainer.config.configuration import Configuration
    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.triggers.level import Threshold
    from retrainer.rules.triggers.threshold import CompiledThreshold
    from retrainer.simulate.history import HistoryRecord
    from retrainer.simulate.ranges import Range

BARS = 480
"""Bars of events over the whole time: for a month, an hour and a half each."""
POINTS = 1600
"""Approximate maximum of points drawn for a series: the lowest and the highest of each interval."""
MOST_SERIES = 12
"""Maximum series drawn for a metric."""


@dataclass(slots=True)
class TraceMetric:
    """A metric. ``lines``: (time, value) pairs by series; None for no data."""

    name: str
    threshold: Threshold
    lines: dict[str, list[tuple[float, float | None]]] = field(default_factory=dict)
    left_out: int = 0
    """Number of series that are not drawn."""

    def add(self, series: str, at: float, value: float | None) -> None:
        if series not in self.lines and len(self.lines) >= MOST_SERIES:
            self.left_out += 1
            return
        self.lines.setdefault(series, []).append((at, value))


@dataclass(slots=True)
class Trace:
    """The traces of one rule. ``bars``: counts of events that match its data triggers, in equal intervals.

    Empty if the rule has no data trigger.
    """

    bars: list[int]
    metrics: dict[str, TraceMetric]


def trace(
    configuration: Configuration, records: Iterable[HistoryRecord], ranges: Sequence[Range], begin: float, end: float
) -> dict[str, Trace]:
    """Return the traces of all rules of a configuration, from ``begin`` to ``end`` (epoch seconds)."""
    catalog = build_catalog(configuration, frozenset())
    traces = {
        name: Trace(
            [0] * (BARS if rule.data else 0),
            {gauge.name: TraceMetric(gauge.name, gauge.threshold) for gauge in rule.gauges.values()},
        )
        for name, rule in catalog.rules.items()
    }
    width = (end - begin) / BARS or 1.0
    for record in records:
        event = record.event
        if event is None or not begin <= record.at <= end:
            continue
        for name in _wanting(catalog, event):
            traces[name].bars[min(int((record.at - begin) / width), BARS - 1)] += 1
        for gauge, series, value in _values(catalog, event):
            traces[gauge.rule].metrics[gauge.name].add(series, record.at, value)
    for range_ in ranges:
        _draw_range(catalog, range_, traces, begin, end)
    for one in traces.values():
        for metric in one.metrics.values():
            metric.lines = {name: thinned(line) for name, line in metric.lines.items()}
    return traces


def thinned(line: Sequence[tuple[float, float | None]], points: int = POINTS) -> list[tuple[float, float | None]]:
    """Reduce a line to about ``points`` points: the lowest and the highest of each interval, and gaps."""
    if len(line) <= points:
        return list(line)
    size = math.ceil(2 * len(line) / points)
    found: list[tuple[float, float | None]] = []
    for first in range(0, len(line), size):
        stretch = line[first : first + size]
        there = [point for point in stretch if point[1] is not None]
        gaps = [stretch[0]] if not there else []
        ends = {min(there, key=_value), max(there, key=_value)} if there else set()
        found += sorted([*gaps, *ends], key=lambda point: point[0])
    return found


def _value(point: tuple[float, float | None]) -> float:
    return point[1] if point[1] is not None else 0.0


def _wanting(catalog: Catalog, event: Event) -> set[str]:
    found = set()
    for trigger in catalog.index.candidates(event):
        try:
            if trigger.wants(event):
                found.add(trigger.rule)
        except ValueError:
            continue  # a dead letter
    return found


def _values(catalog: Catalog, event: Event) -> Iterator[tuple[CompiledThreshold, str, float | None]]:
    """Yield the values of an event for metric and alert triggers, with their series."""
    if event.type == QUERY:
        yield from _polled(catalog, event)
        return
    for gauge in catalog.gauges.candidates(event):
        try:
            sample = gauge.sample(event)
        except ValueError:
            continue  # a dead letter
        yield gauge, sample.series, sample.value


def _polled(catalog: Catalog, event: Event) -> Iterator[tuple[CompiledThreshold, str, float | None]]:
    poll = catalog.polls.get((event.source, Query(str(event.data.get("expr")), event.data.get("sample_time") or None)))
    for series in event.data.get("series") or () if poll is not None else ():
        one = Event(event.source, event.id, event.type, event.time, series)
        for gauge in poll.index.candidates(one) if poll is not None else ():
            yield gauge, series_name("", series["labels"]), series["value"]


def _draw_range(catalog: Catalog, range_: Range, traces: dict[str, Trace], begin: float, end: float) -> None:
    poll = catalog.polls.get((range_.source, range_.query))
    if poll is None:
        return
    first = max(0, math.ceil((begin - range_.start) / range_.step))
    last = min(range_.count, int((end - range_.start) / range_.step) + 1)
    for column in range_.columns:
        one = Event(range_.source, "", QUERY, 0.0, {"labels": column.labels})
        for gauge in poll.index.candidates(one):
            metric = traces[gauge.rule].metrics[gauge.name]
            if len(metric.lines) >= MOST_SERIES and column.name not in metric.lines:
                metric.left_out += 1
                continue
            values = ((range_.at(i), column.values[i]) for i in range(first, last))
            metric.lines[column.name] = [
                (at, None if math.isnan(value) or value == ABSENT else value) for at, value in values
            ]
