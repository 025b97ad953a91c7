# ruff: noqa: E501 - a table with one case a line
"""Drift values pushed by other systems, as plain JSON and as CloudEvents, by webhook and in Kafka records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from retrainer.config import models
from retrainer.event import Event, Poison
from retrainer.rules.compile import compile_rule
from retrainer.sources.formats.payload import Delivery
from retrainer.sources.formats.registry import parser

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.triggers.threshold import CompiledThreshold

NOW = 1_780_000_000.0  # 2026-05-28T20:26:40Z
TIME, AT = "2026-05-28T02:00:00Z", 1_779_933_600.0
EVIDENTLY = "evidently:metric_v2:ValueDrift"
VALUE: dict[str, Any] = {
    "metric": EVIDENTLY,
    "value": 0.31,
    "labels": {"model": "churn", "column": "age"},
    "time": TIME,
}


def source(kind: str, format_: str) -> Any:
    """A typical configuration. For plain JSON, `time:` names the field with the time."""
    more = {"time": "data.time"} if format_ == "json" else {}
    if kind == "webhook":
        return models.WebhookSource.model_validate({"type": kind, "path": "/hooks/drift", "format": format_, **more})
    reach = {"bootstrap_servers": ["kafka:9092"], "topics": ["drift"], "group_id": "g"}
    return models.KafkaSource.model_validate({"type": kind, "format": format_, **reach, **more})


def read(kind: str, format_: str, body: bytes, headers: Mapping[str, str] | None = None) -> Event | Poison:
    (item,) = parser(source(kind, format_))(Delivery("push", body, NOW, "request:1", headers or {}, time=NOW - 1))
    return item


def cloudevent(data: Mapping[str, Any]) -> bytes:
    outer = {"specversion": "1.0", "id": "7", "source": "/drift/nightly", "type": "drift.measured", "time": TIME}
    return orjson.dumps({**outer, "data": {name: data[name] for name in data if name != "time"}})


STRUCTURED = {"content-type": "application/cloudevents+json"}
BINARY_HTTP = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/d", "ce-type": "drift.measured", "ce-time": TIME}
BINARY_KAFKA = {name.replace("ce-", "ce_"): text for name, text in BINARY_HTTP.items()}
PLAIN = orjson.dumps(VALUE)


@pytest.mark.parametrize(
    ("kind", "format_", "body", "headers"),
    [
        pytest.param("webhook", "json", PLAIN, None, id="JSON by webhook"),
        pytest.param("kafka", "json", PLAIN, None, id="JSON in a record"),
        pytest.param("webhook", "cloudevents", cloudevent(VALUE), STRUCTURED, id="a structured CloudEvent by webhook"),
        pytest.param("kafka", "cloudevents", cloudevent(VALUE), STRUCTURED, id="a structured CloudEvent in a record"),
        pytest.param("webhook", "cloudevents", PLAIN, BINARY_HTTP, id="a binary CloudEvent by webhook"),
        pytest.param("kafka", "cloudevents", PLAIN, BINARY_KAFKA, id="a binary CloudEvent in a record"),
    ],
)
def test_whichever_way_a_value_comes(kind: str, format_: str, body: bytes, headers: Mapping[str, str] | None) -> None:
    event = read(kind, format_, body, headers)
    assert isinstance(event, Event), event.error
    assert event.time == AT
    assert (event.data["metric"], event.data["value"], event.data["labels"]) == (
        EVIDENTLY,
        0.31,
        {"model": "churn", "column": "age"},
    )
    gauge = trigger({"metric": EVIDENTLY, "labels.model": "churn"})
    assert all(condition.holds(event) for condition in gauge.conditions)
    sample = gauge.sample(event)
    assert (sample.series, sample.value, sample.at) == (f'{EVIDENTLY}{{column="age",model="churn"}}', 0.31, AT)


def trigger(match: Mapping[str, str], **more: Any) -> CompiledThreshold:
    metric = {"source": "push", "match": dict(match), "above": 0.2, **more}
    rule = {"name": "churn", "triggers": {"drift": {"metric": metric}}, "submit": {"workflow_template": "t"}}
    return compile_rule(models.Rule.model_validate(rule), "1", {}).gauges["drift"]


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        pytest.param({"metric": EVIDENTLY}, True, id="a name with colons"),
        pytest.param({"metric": "evidently:*"}, True, id="a glob over colons"),
        pytest.param({"metric": "evidently:metric_v2:*Drift", "labels.column": "a*"}, True, id="globs"),
        pytest.param({"metric": "evidently:metric_v2:DriftedColumnsCount"}, False, id="another metric"),
        pytest.param({"labels.model": "basket"}, False, id="another model"),
        pytest.param({"labels.team": "growth"}, False, id="a label that it has not"),
    ],
)
def test_what_a_rule_picks(match: Mapping[str, str], wanted: bool) -> None:
    event = read("webhook", "json", PLAIN)
    assert isinstance(event, Event)
    assert all(condition.holds(event) for condition in trigger(match).conditions) == wanted


@pytest.mark.parametrize(
    ("sent", "value", "expected"),
    [
        pytest.param({"value": None}, None, None, id="null is no number"),
        pytest.param({"value": 3}, None, 3.0, id="an integer"),
        pytest.param({"data": {"is_drift": 1, "p_val": 0.004}}, "event.data.data.p_val", 0.004, id="as Alibi Detect has it"),
        pytest.param({"alert": True}, "event.data.alert ? 1.0 : 0.0", 1.0, id="a verdict"),
        pytest.param({"value": {"count": 3.0, "share": 0.25}}, "event.data.value.share", 0.25, id="a part of a value"),
    ],
)  # fmt: skip
def test_where_the_value_stands(sent: Mapping[str, Any], value: str | None, expected: float | None) -> None:
    event = read("webhook", "json", orjson.dumps({"metric": "m", "time": TIME, **sent}))
    assert isinstance(event, Event)
    assert trigger({}, **({"value": value} if value else {})).sample(event).value == expected


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b'{"metric": "psi", "value": NaN, "time": "%s"}' % TIME.encode(), "not JSON", id="NaN"),
        pytest.param(b'{"value": 1, "time": 1779933600000}', "are these milliseconds?", id="milliseconds"),
        pytest.param(b'{"value": 1, "time": "2026-05-28 02:00"}', "not RFC 3339", id="a time without its zone"),
        pytest.param(b'[{"value": 1}]', "a JSON object is expected, not a list", id="several at once"),
    ],
)
def test_what_cannot_be_read_is_kept_with_the_reason(body: bytes, error: str) -> None:
    item = read("webhook", "json", body)
    assert isinstance(item, Poison)
    assert error in item.error


@pytest.mark.parametrize("value", ["0.3", True, [0.3], {"share": 0.3}])
def test_a_value_that_is_no_number_is_said_so(value: object) -> None:
    event = read("webhook", "json", orjson.dumps({"value": value, "time": TIME}))
    assert isinstance(event, Event)
    with pytest.raises(ValueError, match="not a number"):
        trigger({}).sample(event)


def test_a_value_that_is_not_there_is_a_mistake_not_no_data() -> None:
    event = read("webhook", "json", orjson.dumps({"metric": "m", "val": 0.3, "time": TIME}))
    assert isinstance(event, Event)
    with pytest.raises(ValueError, match=r"there is no `event\.data\.value`: say by `value:`"):
        trigger({}).sample(event)


@pytest.mark.parametrize(
    ("labels", "error"),
    [
        pytest.param({f"l{i}": "x" for i in range(65)}, "65 labels; at most 64", id="too many labels"),
        pytest.param({"model": "x" * 20_000}, "20005 characters; at most 16384", id="a label too long"),
        pytest.param({"x" * 20_000: "a"}, "20001 characters", id="a name too long"),
    ],
)
def test_labels_are_bounded(labels: dict[str, str], error: str) -> None:
    event = read("webhook", "json", orjson.dumps({"metric": "m", "value": 1, "time": TIME, "labels": labels}))
    assert isinstance(event, Event)
    with pytest.raises(ValueError, match=error):
        trigger({}).sample(event)


def test_labels_within_the_bounds_are_taken_and_their_name_is_short() -> None:
    labels = {f"l{i:02}": "x" * 200 for i in range(64)}
    event = read("webhook", "json", orjson.dumps({"metric": "m", "value": 1, "time": TIME, "labels": labels}))
    assert isinstance(event, Event)
    assert len(trigger({}).sample(event).series) <= 2000


def test_a_fingerprint_is_remembered_in_short() -> None:
    alert = {"source": "push"}
    rule = {"name": "churn", "triggers": {"a": {"alert": alert}}, "submit": {"workflow_template": "t"}}
    gauge = compile_rule(models.Rule.model_validate(rule), "1", {}).gauges["a"]
    event = Event("push", "1", "t", 1.0, {"status": "firing", "fingerprint": "f" * 1_000_000})
    assert len(gauge.sample(event).series) <= 2000
