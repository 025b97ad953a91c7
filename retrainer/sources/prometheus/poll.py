"""One poll: each expression is queried once. Its response, or the error, is an event."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Self

from retrainer.event import Event
from retrainer.sources.prometheus.answer import Answer, NoAnswer, SampleTimes
from retrainer.sources.prometheus.client import PrometheusClient, PrometheusUnreachable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from retrainer.config.models import PrometheusSource
    from retrainer.sources.base import Query
    from retrainer.util.clock import Clock

EVENT_TYPE = "prometheus.query"


class Poll:
    """Lasts for one poll, which sends no further query after ``allowed`` seconds.

    ``errors``: pairs of an expression, empty if it concerns all, and the reason. ``asked``: the expressions queried.
    ``slow``: those whose response took more than half of `timeout`. ``warnings``: pairs of an expression and
    Prometheus' message about its response.
    """

    def __init__(self, name: str, config: PrometheusSource, base_folder: Path, clock: Clock, allowed: float) -> None:
        self.errors: list[tuple[str, str]] = []
        self.asked: set[str] = set()
        self.slow: set[str] = set()
        self.warnings: list[tuple[str, str]] = []
        self._name, self._clock = name, clock
        self._long = config.timeout / 2
        self._until = clock.monotonic() + allowed
        self._times: dict[str, SampleTimes | NoAnswer] = {}
        self._client: PrometheusClient | None = None
        self._unreachable: PrometheusUnreachable | None = None
        try:
            self._client = PrometheusClient(config, base_folder, clock)
        except PrometheusUnreachable as error:
            self._unreachable = error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()

    def event(self, query: Query) -> Event:
        """Send the query. Return the event with its result or error."""
        at, began = round(self._clock.now(), 3), self._clock.monotonic()
        series: list[dict[str, Any]] = []
        error = ""
        try:
            series = self._series(query, at)
        except NoAnswer as trouble:
            error = str(trouble)
            self._note(query.expr, error)
        if self._clock.monotonic() - began > self._long:
            self.slow.add(query.expr)
        sample_time = query.sample_time or ""
        return Event(
            source=self._name,
            id=f"{digest_of(query)}:{round(at * 1000)}",
            type=EVENT_TYPE,
            time=at,
            data={"expr": query.expr, "sample_time": sample_time, "series": series, "error": error},
            subject=query.expr,
        )

    def _note(self, expr: str, error: str) -> None:
        """Record an error. An unreachable server is one error, not one for each expression."""
        problem = ("" if self._unreachable is not None else expr, error)
        if problem not in self.errors:
            self.errors.append(problem)

    def _series(self, query: Query, at: float) -> list[dict[str, Any]]:
        answer = self._ask(query.expr, at)
        times = self._sample_times(query.sample_time, at) if query.sample_time is not None else None
        moments = [times.of(one) if times is not None else None for one in answer.series]
        return [
            {"labels": dict(one.labels), "value": one.value, "time": at if moment is None else moment}
            for one, moment in zip(answer.series, moments, strict=True)
        ]

    def _sample_times(self, expr: str, at: float) -> SampleTimes:
        """Return the sample times, queried once for all expressions that share them."""
        found = self._times.get(expr)
        if found is None:
            try:
                found = SampleTimes(self._ask(expr, at).series, at)
            except NoAnswer as error:
                found = error
            self._times[expr] = found
        if isinstance(found, NoAnswer):
            raise NoAnswer(f"{expr:.80}: {found}")
        return found

    def _ask(self, expr: str, at: float) -> Answer:
        if self._unreachable is not None or self._client is None:
            raise NoAnswer(str(self._unreachable))
        if self._clock.monotonic() > self._until:
            raise NoAnswer("not queried: the other expressions used all the time of the poll")
        self.asked.add(expr)
        try:
            answer = self._client.ask(expr, at)
        except PrometheusUnreachable as error:
            self._unreachable = error
            raise
        self.warnings += [(expr, text) for text in answer.warnings]
        return answer


def digest_of(query: Query) -> str:
    """Return an id of a query. It includes the `sample_time`, of which an expression may have several.

    Ids of its results are this id, a colon, and their time in milliseconds.
    """
    text = query.expr if query.sample_time is None else f"{query.expr}\n{query.sample_time}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
