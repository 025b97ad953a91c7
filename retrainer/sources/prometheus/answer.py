"""PURE: parses responses to instant queries. Anything unclear is an error, never an empty result."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.sources.formats.payload import Unreadable, event_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NAME = "__name__"
_LONGEST = 300
"""Characters that are kept of an error message from Prometheus."""
LONGEST_LABELS = 16_384
"""Characters of the labels of one series: each rule stores them."""
MOST_WARNINGS = 10
_RIGHTS = (401, 403)


class NoAnswer(Exception):
    """The expression has no valid response. The message says why, without secrets."""


@dataclass(frozen=True, slots=True)
class AnsweredSeries:
    """``value`` is None if it is not a finite number."""

    labels: Mapping[str, str]
    value: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """``warnings``: Prometheus' messages about a response that may be incomplete."""

    series: tuple[AnsweredSeries, ...]
    warnings: tuple[str, ...] = ()


def read(status: int, body: bytes, max_series: int) -> Answer:
    """Parse a response with its HTTP status. Raise NoAnswer."""
    answer = _json(body)
    if answer is None or status != 200 or answer.get("status") != "success":
        raise NoAnswer(_trouble(status, answer))
    try:
        series = _series(answer["data"], max_series)
        warnings = _warnings(answer.get("warnings"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoAnswer("not an answer of Prometheus; is url correct?") from None
    return Answer(series, warnings)


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _trouble(status: int, answer: Mapping[str, Any] | None) -> str:
    if answer is not None and answer.get("status") == "error" and isinstance(answer.get("error"), str):
        return f"{_line(answer.get('errorType', 'error'), 40)}: {_line(answer['error'])}"
    if status in _RIGHTS:
        return f"it answers {status}; are token or basic correct?"
    if answer is None and status == 200:
        return "its answer is not JSON; is url correct?"
    return f"it answers {status}" + ("; is url correct?" if 300 <= status < 500 and status != 429 else "")


def _series(data: Mapping[str, Any], max_series: int) -> tuple[AnsweredSeries, ...]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return (AnsweredSeries({}, _number(result)),)
    if kind != "vector":
        raise NoAnswer(f"it returns a {kind!s:.20}: an expression must return a vector or a scalar")
    if not isinstance(result, list):
        raise TypeError
    if len(result) > max_series:
        raise NoAnswer(f"{len(result)} series, at most {max_series} are allowed (max_series)")
    series = tuple(_one(item) for item in result)
    if len({frozenset(one.labels.items()) for one in series}) < len(series):
        raise NoAnswer("it returns one series several times")
    return series


def _one(item: Mapping[str, Any]) -> AnsweredSeries:
    if "value" not in item and "histogram" in item:
        raise NoAnswer("it returns histograms, not numbers: use histogram_quantile() or similar")
    labels = item["metric"]
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise TypeError
    if (size := sum(len(name) + len(text) for name, text in labels.items())) > LONGEST_LABELS:
        raise NoAnswer(f"it returns a series with labels of {size} characters, at most {LONGEST_LABELS} are allowed")
    return AnsweredSeries(labels, _number(item["value"]))


def _warnings(answer: Any) -> tuple[str, ...]:
    return tuple(_line(text) for text in answer[:MOST_WARNINGS]) if isinstance(answer, list) else ()


def _line(text: object, longest: int = _LONGEST) -> str:
    """Return a text from the server, cut and made safe for logs, the store and terminals."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:longest])


def _number(sample: tuple[float, str]) -> float | None:
    """Return the value, which is sent as text. The sample's timestamp is ignored: it is the time of the query."""
    at, text = sample
    if isinstance(at, bool) or not isinstance(at, (int, float)) or isinstance(text, bool):
        raise TypeError
    value = float(text)
    return value if math.isfinite(value) else None


class SampleTimes:
    """The real times of samples, given by other series that share labels with them.

    If several match a series, the one with the most labels is used, and among these the oldest.
    """

    def __init__(self, series: Iterable[AnsweredSeries], at: float) -> None:
        """Raise NoAnswer for an invalid time: before 1970, or more than a day after ``at``."""
        times: dict[tuple[str, ...], dict[tuple[str, ...], float]] = defaultdict(dict)
        for one in series:
            labels = {name: text for name, text in one.labels.items() if name != NAME}
            names = tuple(sorted(labels))
            values = tuple(labels[name] for name in names)
            moment = _moment(one.value, at)
            times[names][values] = min(moment, times[names].get(values, moment))
        self._times = sorted(times.items(), key=lambda item: -len(item[0]))

    def of(self, series: AnsweredSeries) -> float | None:
        """Return when the sample was taken, in seconds since the epoch; None if no series gives it."""
        for names, moments in self._times:
            values = tuple(series.labels.get(name, "") for name in names)
            if values in moments:
                return moments[values]
        return None


def _moment(value: float | None, at: float) -> float:
    if value is None:
        raise NoAnswer("sample_time does not return a number")
    try:
        return event_time(value, at)
    except Unreadable as error:
        raise NoAnswer(f"sample_time: {error}") from None
