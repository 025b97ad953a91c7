"""Metrics that were never polled: what polls would have found, out of Prometheus' memory."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from retrainer.config.models import PrometheusSource
from retrainer.engine.readings import QUERY
from retrainer.event import Event
from retrainer.rules.compile_triggers import series_name
from retrainer.simulate.history import BadHistory, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from retrainer.config.configuration import Configuration
    from retrainer.engine.catalog import Catalog, Poll
    from retrainer.simulate.history import History

ABSENT = math.inf
"""Stands where a poll did not find the series; not a number stands for a value that is none."""
POINTS = 2000
"""Moments of one request: Prometheus gives at most 11,000, and an answer should fit into memory."""
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Column:
    """A series: ``values`` at each moment of its range."""

    labels: Mapping[str, str]
    name: str
    values: array[float]


@dataclass(frozen=True, slots=True)
class Range:
    """What a query gives at ``count`` moments, ``step`` seconds apart, from ``start`` on (epoch seconds)."""

    source: str
    expr: str
    start: float
    step: float
    count: int
    columns: tuple[Column, ...]

    def at(self, i: int) -> float:
        return self.start + i * self.step

    def record(self, i: int) -> Record:
        """The poll at a moment, as a source reports it."""
        at = self.at(i)
        series = [
            {"labels": dict(c.labels), "value": _number(c.values[i]), "time": at}
            for c in self.columns
            if c.values[i] != ABSENT
        ]
        data = {"expr": self.expr, "sample_time": "", "series": series, "error": ""}
        return Record(at, Event(self.source, f"{self.expr}:{at}", QUERY, at, data, self.expr))

    def records(self) -> Iterator[Record]:
        return (self.record(i) for i in range(self.count))


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def fetch(url: str, asked: Range, wanted: Callable[[Mapping[str, str]], bool]) -> Range:
    """Ask Prometheus for a range, so many moments at a time; keep series whose labels are ``wanted``.

    Raise BadHistory if it does not answer.
    """
    columns: dict[str, Column] = {}
    with httpx.Client(timeout=_TIMEOUT) as client:
        for first in range(0, asked.count, POINTS):
            last = min(first + POINTS, asked.count) - 1
            form = {"query": asked.expr, "start": asked.at(first), "end": asked.at(last), "step": asked.step}
            for series in _ask(client, url, form):
                if wanted(series["metric"]):
                    _fill(columns, series, asked)
    return replace(asked, columns=tuple(columns.values()))


def missing(
    catalog: Catalog, configuration: Configuration, history: History, since: float, until: float
) -> Iterator[tuple[Range, Callable[[Mapping[str, str]], bool]]]:
    """The queries of these rules that history does not have, as ranges still to be filled."""
    for (source, query), poll in catalog.polls.items():
        config = configuration.sources.get(source)
        if (source, query.expr) in history.polled or not isinstance(config, PrometheusSource):
            continue
        if query.sample_time is not None:
            raise BadHistory(f"{query.expr:.80}: sample_time cannot be looked up in the past; take it out to simulate")
        step = config.polling_interval
        start = math.ceil(since / step) * step
        yield Range(source, query.expr, start, step, max(0, int((until - start) // step) + 1), ()), _wanted(poll)


def _wanted(poll: Poll) -> Callable[[Mapping[str, str]], bool]:
    def ask(labels: Mapping[str, str]) -> bool:
        event = Event(poll.gauges[0].source, "", "", 0.0, {"labels": labels})
        return any(all(condition.holds(event) for condition in gauge.conditions) for gauge in poll.gauges)

    return ask


def _ask(client: httpx.Client, url: str, form: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        answer = client.post(f"{url.rstrip('/')}/api/v1/query_range", data=form)
        said = orjson.loads(answer.content)
        if said["status"] != "success":
            raise BadHistory(f"{url}: {form['query']:.80}: {said.get('error', 'no answer')}")
        result: list[dict[str, Any]] = said["data"]["result"]
    except httpx.HTTPError as error:
        raise BadHistory(f"{url}: {error}; is --prometheus right?") from None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise BadHistory(f"{url}: it does not answer as Prometheus does; is --prometheus right?") from None
    return result


def _fill(columns: dict[str, Column], series: Mapping[str, Any], asked: Range) -> None:
    name = series_name("", series["metric"])
    column = columns.get(name)
    if column is None:
        column = columns[name] = Column(series["metric"], name, array("d", [ABSENT]) * asked.count)
    found = series["values"]
    first, last = (round((found[i][0] - asked.start) / asked.step) for i in (0, -1))
    values = array("d", [float(text) for _, text in found])
    if not math.isfinite(sum(values)):
        values = array("d", [value if math.isfinite(value) else math.nan for value in values])
    if last - first + 1 == len(values):
        column.values[first : last + 1] = values
        return
    for (at, _), value in zip(found, values, strict=True):
        column.values[round((at - asked.start) / asked.step)] = value
