# ruff: noqa: E501 - a table with one case a line
"""Parsing of Prometheus' answers: numbers, no data, or an error."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from retrainer.sources.prometheus.answer import AnsweredSeries, NoAnswer, SampleTimes, read

NOW = 1_780_000_000.0


def vector(*samples: tuple[dict[str, str], str], **more: object) -> dict[str, Any]:
    result = [{"metric": labels, "value": [NOW, text]} for labels, text in samples]
    return {"status": "success", "data": {"resultType": "vector", "result": result}, **more}


def one(kind: str, result: object) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


def refused(kind: str, text: str) -> dict[str, str]:
    return {"status": "error", "errorType": kind, "error": text}


def answered(body: object, status: int = 200, max_series: int = 10) -> Any:
    return read(status, body if isinstance(body, bytes) else orjson.dumps(body), max_series)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(vector(({"__name__": "psi", "f": "age"}, "0.25")), [({"__name__": "psi", "f": "age"}, 0.25)], id="a number"),
        pytest.param(vector(({}, "1e-05")), [({}, 1e-05)], id="a small one"),
        pytest.param(vector(({}, "NaN"), ({"a": "b"}, "3")), [({}, None), ({"a": "b"}, 3.0)], id="NaN is no number"),
        pytest.param(vector(({}, "+Inf"), ({"a": "b"}, "-Inf")), [({}, None), ({"a": "b"}, None)], id="nor is infinity"),
        pytest.param(vector(), [], id="nothing there"),
        pytest.param(one("scalar", [NOW, "0.3"]), [({}, 0.3)], id="a scalar has no labels"),
        pytest.param(one("scalar", [NOW, "NaN"]), [({}, None)], id="a scalar that is no number"),
    ],
)  # fmt: skip
def test_an_answer(body: object, expected: list[tuple[dict[str, str], float | None]]) -> None:
    assert [(series.labels, series.value) for series in answered(body).series] == expected


def test_its_warnings_are_kept_and_its_infos_are_not() -> None:
    answer = answered(vector(({}, "1"), warnings=["one store is down"], infos=["might be no counter"]))
    assert (len(answer.series), answer.warnings) == (1, ("one store is down",))


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        pytest.param(400, refused("bad_data", "parse error"), "bad_data: parse error", id="does not parse"),
        pytest.param(422, refused("execution", "too many samples"), "execution: too many samples", id="cannot be run"),
        pytest.param(503, refused("timeout", "query timed out"), "timeout: query timed out", id="took too long there"),
        pytest.param(200, refused("internal", "x"), "internal: x", id="an error in spite of its status"),
        pytest.param(401, b"Unauthorized", "it answers 401; are token or basic correct?", id="not let in"),
        pytest.param(403, {}, "it answers 403; are token or basic correct?", id="not allowed"),
        pytest.param(404, b"404 page not found", "it answers 404; is url correct?", id="another server"),
        pytest.param(302, b"", "it answers 302; is url correct?", id="sent elsewhere"),
        pytest.param(429, b"slow down", "it answers 429", id="too many requests"),
        pytest.param(502, b"<html>", "it answers 502", id="a proxy without a server"),
        pytest.param(500, {"status": "success", "data": {}}, "it answers 500", id="success that is none"),
        pytest.param(200, b"<html>", "its answer is not JSON; is url correct?", id="a page"),
        pytest.param(200, b'{"status": "succ', "its answer is not JSON", id="cut short"),
        pytest.param(200, b"\xff", "its answer is not JSON", id="bytes"),
        pytest.param(200, [], "its answer is not JSON", id="a list"),
        pytest.param(200, {}, "it answers 200", id="an object of somebody else"),
        pytest.param(200, {"status": "success"}, "not an answer of Prometheus", id="no data"),
        pytest.param(200, one("vector", None), "not an answer of Prometheus", id="no result"),
        pytest.param(200, one("vector", {}), "not an answer of Prometheus", id="a map of series"),
        pytest.param(200, one("vector", "xx"), "not an answer of Prometheus", id="a text of series"),
        pytest.param(200, one("vector", [{"metric": {"a": 1}, "value": [NOW, "1"]}]), "not an answer of Prometheus", id="a label that is a number"),
        pytest.param(200, one("vector", [{"metric": {"a": None}, "value": [NOW, "1"]}]), "not an answer of Prometheus", id="a label that is nothing"),
        pytest.param(200, one("vector", [{"metric": {}, "value": ["x", "1"]}]), "not an answer of Prometheus", id="a time that is a text"),
        pytest.param(200, one("vector", [{"metric": {}, "value": [NOW, True]}]), "not an answer of Prometheus", id="a value that is a boolean"),
        pytest.param(200, one("vector", [{"metric": {}, "value": [NOW, None]}]), "not an answer of Prometheus", id="a value that is nothing"),
        pytest.param(200, one("vector", [{"metric": {"a": "b"}, "value": [NOW, "1"]}] * 2), "one series several times", id="a series twice"),
        pytest.param(200, one("vector", [{"metric": {"a": "b" * 20_000}, "value": [NOW, "1"]}]), "labels of 20001 characters", id="a huge label"),
        pytest.param(200, refused("x\x1b[31m", "y\0\n\x07z"), "x [31m: y   z", id="control characters"),
        pytest.param(200, one("vector", [{"metric": {}}]), "not an answer of Prometheus", id="a series without a value"),
        pytest.param(200, one("vector", [{"metric": [], "value": [NOW, "1"]}]), "not an answer of Prometheus", id="no labels"),
        pytest.param(200, one("vector", [{"metric": {}, "value": [NOW, "high"]}]), "not an answer of Prometheus", id="a word"),
        pytest.param(200, one("vector", [{"metric": {}, "value": "1"}]), "not an answer of Prometheus", id="a bare value"),
        pytest.param(200, one("matrix", []), "it returns a matrix: an expression must return a vector", id="a matrix"),
        pytest.param(200, one("string", [NOW, "x"]), "it returns a string", id="a string"),
        pytest.param(200, one("vector", [{"metric": {}, "histogram": [NOW, {}]}]), "use histogram_quantile()", id="histograms"),
        pytest.param(200, vector(*[({"n": str(n)}, "1") for n in range(11)]), "11 series, at most 10 are allowed (max_series)", id="many"),
    ],
)  # fmt: skip
def test_what_is_no_answer_says_why(status: int, body: object, error: str) -> None:
    with pytest.raises(NoAnswer) as caught:
        answered(body, status)
    assert error in str(caught.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [(["w" * 1000] * 1000, ("w" * 300,) * 10), ("x", ()), ({"a": 1}, ()), (["a\0"], ("a ",)), (None, ())],
)
def test_warnings_are_few_and_short(said: object, expected: tuple[str, ...]) -> None:
    assert answered({**vector(({}, "1")), "warnings": said}).warnings == expected


def test_long_words_are_cut() -> None:
    with pytest.raises(NoAnswer) as caught:
        answered(refused("execution", "x" * 10_000), 422)
    assert len(str(caught.value)) < 400


def pushed(value: float | None, **labels: str) -> AnsweredSeries:
    return AnsweredSeries({"__name__": "push_time_seconds", **labels}, value)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param([pushed(100.0, job="drift")], 100.0, id="shares its labels"),
        pytest.param([pushed(100.0, job="drift", f="age")], 100.0, id="shares all of them"),
        pytest.param([pushed(100.0, job="other")], None, id="of another"),
        pytest.param([pushed(100.0, job="drift", run="7")], None, id="has a label more"),
        pytest.param([pushed(100.0, job="drift"), pushed(200.0, job="drift", f="age")], 200.0, id="the closer counts"),
        pytest.param([pushed(200.0, job="drift", f="age"), pushed(100.0, job="drift")], 200.0, id="in any order"),
        pytest.param([AnsweredSeries({"job": "drift", "__name__": n}, t) for n, t in (("a", 200.0), ("b", 100.0))], 100.0, id="the oldest of equals"),
        pytest.param([pushed(100.0, job="drift", instance="")], 100.0, id="an empty label is none"),
        pytest.param([AnsweredSeries({}, 100.0)], 100.0, id="a scalar tells of all"),
        pytest.param([], None, id="nothing tells of it"),
    ],
)  # fmt: skip
def test_when_a_sample_was_taken(told: list[AnsweredSeries], expected: float | None) -> None:
    times = SampleTimes(told, NOW)
    assert times.of(AnsweredSeries({"__name__": "psi", "job": "drift", "f": "age"}, 0.3)) == expected


@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param(NOW * 1000, "are these milliseconds?", id="milliseconds"),
        pytest.param(-5.0, "before 1970", id="before 1970"),
        pytest.param(None, "not return a number", id="no number"),
    ],
)
def test_times_that_cannot_be(value: float | None, error: str) -> None:
    with pytest.raises(NoAnswer, match="sample_time") as caught:
        SampleTimes([pushed(value, job="drift")], NOW)
    assert error in str(caught.value)
