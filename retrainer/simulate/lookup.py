"""Query past values of a metric from Prometheus, as the source would have queried them."""

from __future__ import annotations

import math
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import orjson

from retrainer.rules.triggers.threshold import series_name
from retrainer.simulate.history import BadHistory
from retrainer.simulate.ranges import ABSENT, Column, Range
from retrainer.sources.prometheus.answer import AnsweredSeries, NoAnswer, SampleTimes
from retrainer.sources.prometheus.client import PrometheusUnreachable, connect
from retrainer.util import gc_tuning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from retrainer.config.models import PrometheusSource
    from retrainer.simulate.ranges import Wanted

POINTS = 2000
"""Points per request: Prometheus returns at most 11,000, and an answer should fit into memory."""
TIMEOUT = 60.0
"""Minimum timeout in seconds: a range query is more work than the instant query of the source."""
_RIGHTS = (401, 403)


class RecordedMemory:
    """A client for the Prometheus of a source. Call ``close`` when done."""

    def __init__(self, name: str, config: PrometheusSource, base_folder: Path, elsewhere: str = "") -> None:
        """Query ``elsewhere`` if given. Secrets and certificates are only sent to the origin of the source's own URL.

        Raise BadHistory if a secret or certificate cannot be read.
        """
        self._name, self.url = name, (elsewhere or config.url).rstrip("/")
        if elsewhere and _origin(elsewhere) != _origin(config.url):
            config = config.model_copy(update={"token": None, "basic": None, "tls": None})
        config = config.model_copy(update={"timeout": max(config.timeout, TIMEOUT)})
        try:
            self._client = connect(config, base_folder)
        except PrometheusUnreachable as error:
            raise BadHistory(f"source {name}: {error}") from None

    def close(self) -> None:
        self._client.close()

    def fetch(self, range_: Range, wanted: Wanted) -> Range:
        """Return the range with the series whose labels are ``wanted``, and the times of their samples.

        Raise BadHistory if there is no answer.
        """
        columns = self._columns(range_.expr, range_, wanted)
        if range_.sample_time is None:
            return replace(range_, columns=columns)
        time_columns = self._columns(range_.sample_time, range_, lambda _: True)
        return _timed(replace(range_, columns=columns), time_columns)

    def _columns(self, expr: str, range_: Range, wanted: Wanted) -> tuple[Column, ...]:
        """Query `POINTS` points per request."""
        columns: dict[str, Column] = {}
        with gc_tuning.undisturbed():
            for first in range(0, range_.count, POINTS):
                last = min(first + POINTS, range_.count) - 1
                form = {"query": expr, "start": range_.at(first), "end": range_.at(last), "step": range_.step}
                for series in self._ask(form):
                    if wanted(series["metric"]):
                        _fill(columns, series, range_)
        return tuple(columns.values())

    def _ask(self, form: dict[str, Any]) -> list[dict[str, Any]]:
        try:
            answer = self._client.post(f"{self.url}/api/v1/query_range", data=form)
            if answer.status_code in _RIGHTS:
                rights = f"are token or basic of source {self._name} right? They are sent only to its own url"
                raise BadHistory(f"{self.url}: it answers {answer.status_code}; {rights}")
            body = orjson.loads(answer.content)
            if body["status"] != "success":
                raise BadHistory(f"{self.url}: {form['query']:.80}: {body.get('error', 'no answer')}")
            result: list[dict[str, Any]] = body["data"]["result"]
        except httpx.HTTPError as error:
            raise BadHistory(f"{self.url}: {error!s:.200}; is --prometheus right?") from None
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise BadHistory(f"{self.url}: the answer is not that of Prometheus; is --prometheus right?") from None
        return result


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _fill(columns: dict[str, Column], series: Mapping[str, Any], range_: Range) -> None:
    name = series_name("", series["metric"])
    column = columns.get(name)
    if column is None:
        column = columns[name] = Column(series["metric"], name, array("d", [ABSENT]) * range_.count)
    found = series.get("values") or ()
    if not found:
        raise BadHistory(
            f"{range_.expr:.80}: the result is histograms, not numbers: use a function such as histogram_quantile()"
        )
    first, last = (round((found[i][0] - range_.start) / range_.step) for i in (0, -1))
    values = _numbers([float(text) for _, text in found])
    if last - first + 1 == len(values):
        column.values[first : last + 1] = values
        return
    for (at, _), value in zip(found, values, strict=True):
        column.values[round((at - range_.start) / range_.step)] = value


def _numbers(values: list[float]) -> array[float]:
    """Convert infinite values to NaN."""
    found = array("d", values)
    if math.isfinite(sum(values)):
        return found
    return array("d", [value if math.isfinite(value) else math.nan for value in values])


def _timed(range_: Range, time_columns: Sequence[Column]) -> Range:
    """Return the range with the times of its samples. A poll whose times cannot be determined counts as failed."""
    times = {column.name: array("d", [math.nan]) * range_.count for column in range_.columns}
    troubles: dict[int, str] = {}
    known: tuple[tuple[float, ...], SampleTimes] | None = None
    for i in range(range_.count):
        values = tuple(column.values[i] for column in time_columns)
        if known is None or known[0] != values:
            found = [(c.labels, v) for c, v in zip(time_columns, values, strict=True) if v != ABSENT]
            try:
                series = [AnsweredSeries(labels, None if math.isnan(v) else v) for labels, v in found]
                known = values, SampleTimes(series, range_.at(i))
            except NoAnswer as error:
                known, troubles[i] = None, f"{range_.sample_time:.80}: {error}"
                continue
        for column in range_.columns:
            if column.values[i] != ABSENT:
                moment = known[1].of(AnsweredSeries(column.labels, None))
                times[column.name][i] = range_.at(i) if moment is None else moment
    columns = tuple(replace(column, times=times[column.name]) for column in range_.columns)
    return replace(range_, columns=columns, troubles=troubles)
