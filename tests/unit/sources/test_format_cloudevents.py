import base64
import json
from typing import Any

import pytest

from retrainer.event import Event, Poison
from retrainer.sources.formats import cloudevents
from retrainer.sources.formats.payload import Delivery

NOW = 1_780_000_000.0
REQUIRED = {"specversion": "1.0", "id": "7", "source": "/pipelines/orders", "type": "dataset.updated"}
EVENT = {
    **REQUIRED,
    "subject": "orders/2026-03-01",
    "time": "2026-03-01T02:30:00Z",
    "datacontenttype": "application/json",
    "traceparent": "00-4bf9",
    "priority": 5,
    "data": {"rows": 3},
}


def read(body: bytes, headers: dict[str, str]) -> Any:
    return cloudevents.parse(Delivery("push", body, NOW, "request:1", headers))


def structured(event: object) -> Any:
    (item,) = read(json.dumps(event).encode(), {"content-type": cloudevents.STRUCTURED + "; charset=UTF-8"})
    return item


def binary(body: bytes = b'{"rows": 3}', content: str | None = "application/json", **changes: str) -> Any:
    headers = {f"ce-{name}": value for name, value in {**REQUIRED, **changes}.items() if value}
    (item,) = read(body, {**headers, **({"content-type": content} if content else {})})
    return item


def test_structured_mode() -> None:
    assert structured(EVENT) == Event(
        source="push",
        id="/pipelines/orders 7",
        type="dataset.updated",
        time=1772332200.0,
        data={"rows": 3},
        subject="orders/2026-03-01",
        attributes={
            "id": "7",
            "source": "/pipelines/orders",
            "datacontenttype": "application/json",
            "traceparent": "00-4bf9",
            "priority": 5,
        },
    )


def test_binary_mode_says_the_same() -> None:
    event = binary(subject="orders/2026-03-01", time="2026-03-01T02:30:00Z", traceparent="00-4bf9", priority="5")
    same = structured(EVENT)
    assert (event.id, event.type, event.time, event.subject, event.data) == (
        (same.id, same.type, same.time, same.subject, same.data)
    )
    assert event.attributes == {**same.attributes, "priority": "5"}


def test_batch_mode_keeps_what_cannot_be_read_in_its_place() -> None:
    body = json.dumps([EVENT, {"id": "8"}, {**EVENT, "id": "9"}]).encode()
    first, bad, last = read(body, {"content-type": cloudevents.BATCH})
    assert (first.id, last.id) == ("/pipelines/orders 7", "/pipelines/orders 9")
    assert isinstance(bad, Poison)
    assert bad.payload == b'{"id":"8"}'


def test_an_empty_batch_is_nothing() -> None:
    assert read(b"[]", {"content-type": cloudevents.BATCH}) == ()


@pytest.mark.parametrize(
    ("value", "subject"),
    [
        pytest.param("a%20b%E2%82%AC", "a b€", id="percent"),
        pytest.param("a%2520b", "a%20b", id="decoded-once"),
        pytest.param("a+b", "a+b", id="plus-is-a-plus"),
        pytest.param('"a \\"b\\""', 'a "b"', id="quoted"),
        pytest.param("100%", "100%", id="lone-percent"),
    ],
)
def test_header_values_are_decoded(value: str, subject: str) -> None:
    assert binary(subject=value).subject == subject


@pytest.mark.parametrize(
    ("body", "content", "data"),
    [
        pytest.param(b'{"a": 1}', "application/json; charset=utf-8", {"a": 1}, id="json"),
        pytest.param(b'{"a": 1}', "application/vnd.orders+json", {"a": 1}, id="json-suffix"),
        pytest.param(b'{"a": 1}', None, {"a": 1}, id="no-type-means-json"),
        pytest.param(b"[1, 2]", "application/json", {"value": [1, 2]}, id="no-object"),
        pytest.param("grüß".encode(), "text/plain", {"text": "grüß"}, id="text"),
        pytest.param(b"\x00\xff", "application/octet-stream", {"base64": "AP8="}, id="bytes"),
        pytest.param(b"", "application/json", {}, id="nothing"),
    ],
)
def test_binary_data(body: bytes, content: str | None, data: dict) -> None:
    assert binary(body, content).data == data


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        pytest.param({"data": [1]}, {"value": [1]}, id="list"),
        pytest.param({"data": None}, {}, id="null"),
        pytest.param({"data": 0}, {"value": 0}, id="zero"),
        pytest.param({"data": None, "data_base64": base64.b64encode(b'{"a": 1}').decode()}, {"a": 1}, id="base64-json"),
        pytest.param(
            {"data": None, "data_base64": "AP8=", "datacontenttype": "image/png"}, {"base64": "AP8="}, id="base64"
        ),
    ],
)
def test_structured_data(changes: dict, data: dict) -> None:
    assert structured({**EVENT, **changes}).data == data


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"id": None}, "no id", id="no-id"),
        pytest.param({"source": ""}, "no source", id="empty-source"),
        pytest.param({"type": None}, "no type", id="no-type"),
        pytest.param({"specversion": None}, "no specversion", id="no-specversion"),
        pytest.param({"specversion": "0.3"}, "only 1.x", id="old-specversion"),
        pytest.param({"id": 7}, "id 7 is not a string", id="id-is-a-number"),
        pytest.param({"type": "a\nb"}, "control characters", id="control-characters"),
        pytest.param({"time": "noon"}, "RFC 3339", id="time-in-words"),
        pytest.param({"time": 1772332200}, None, id="time-in-seconds-is-understood"),
        pytest.param({"ext": {"a": 1}}, "attribute ext", id="nested-extension"),
        pytest.param({"data_base64": "AP8="}, "exclude each other", id="both-kinds-of-data"),
        pytest.param({"data": None, "data_base64": "%%"}, "not base64", id="bad-base64"),
        pytest.param({"data": None, "data_base64": 5}, "not base64", id="base64-is-a-number"),
        pytest.param({"data": None, "data_base64": "e30x"}, "not JSON", id="base64-of-bad-json"),
    ],
)
def test_what_is_no_cloudevent_is_kept(changes: dict, error: str | None) -> None:
    item = structured({**EVENT, **changes})
    if error is None:
        assert isinstance(item, Event)
    else:
        assert isinstance(item, Poison)
        assert error in item.error


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        pytest.param(b"{}", {"content-type": "application/json"}, "not a CloudEvent", id="no-headers"),
        pytest.param(b"5", {"content-type": cloudevents.STRUCTURED}, "JSON object", id="structured-number"),
        pytest.param(b"{}", {"content-type": cloudevents.BATCH}, "JSON list", id="batch-is-an-object"),
        pytest.param(b"{}", {"ce-id": "%ff"}, "ce-id is not UTF-8", id="header-not-utf-8"),
    ],
)
def test_what_is_no_cloudevent_at_all_is_kept_whole(body: bytes, headers: dict[str, str], error: str) -> None:
    (item,) = read(body, headers)
    assert isinstance(item, Poison)
    assert error in item.error
    assert item.payload == body


def test_bad_data_in_binary_mode_is_kept() -> None:
    assert isinstance(binary(b"{", "application/json"), Poison)
    assert isinstance(binary(b"\xff", "text/plain"), Poison)


def test_source_and_id_together_are_the_identity() -> None:
    pairs = [("a", "b c"), ("a b", "c"), ("a", "b"), ("b", "a")]
    assert len({structured({**EVENT, "source": source, "id": id_}).id for source, id_ in pairs}) == len(pairs)


def test_the_time_of_arrival_stands_in_for_a_missing_one() -> None:
    assert structured({**EVENT, "time": None}).time == NOW


def record(body: bytes, headers: dict[str, str], **more: Any) -> Any:
    (item,) = cloudevents.parse_record(Delivery("orders", body, NOW, "t/0/7", headers, **more))
    return item


def in_record(**changes: str) -> dict[str, str]:
    return {f"ce_{name}": value for name, value in {**REQUIRED, **changes}.items() if value}


def test_a_record_in_binary_mode_says_what_a_request_says() -> None:
    headers = in_record(subject="a/b", time="2026-03-01T02:30:00Z", partitionkey="c-1")
    event = record(b'{"rows": 3}', {**headers, "content-type": "application/json", "tenant": "x"})
    same = binary(subject="a/b", time="2026-03-01T02:30:00Z", partitionkey="c-1")
    assert (event.id, event.type, event.time, event.subject, event.data, event.attributes) == (
        (same.id, same.type, same.time, same.subject, same.data, same.attributes)
    )
    assert event.attributes["partitionkey"] == "c-1"


@pytest.mark.parametrize("headers", [{}, {"content-type": "application/json"}, {"tenant": "x"}])
def test_a_record_without_a_content_type_is_what_its_body_says(headers: dict[str, str]) -> None:
    declared = record(json.dumps(EVENT).encode(), {"content-type": cloudevents.STRUCTURED})
    assert record(json.dumps(EVENT).encode(), headers) == declared


def test_a_body_that_only_looks_like_one_is_data_of_the_event_in_the_headers() -> None:
    assert record(json.dumps(EVENT).encode(), in_record(id="8")).data == EVENT


def test_headers_of_records_are_taken_as_they_are() -> None:
    assert record(b"", in_record(subject="50%25", quoted='"q"')).subject == "50%25"
    assert record(b"", in_record(quoted='"q"')).attributes["quoted"] == '"q"'


def test_a_record_in_structured_mode() -> None:
    headers = {"content-type": "Application/CloudEvents+JSON; charset=UTF-8", "ce_id": "ignored"}
    event = record(json.dumps(EVENT).encode(), headers)
    assert (event.id, event.data) == ("/pipelines/orders 7", {"rows": 3})


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        pytest.param({}, "neither ce_* headers nor content type application/cloudevents+json", id="no-cloudevent"),
        pytest.param({"ce-id": "7"}, "neither ce_* headers", id="headers-of-http"),
        pytest.param({"content-type": "application/cloudevents+avro"}, "cloudevents+avro: of the", id="other-form"),
        pytest.param({"content-type": cloudevents.BATCH}, "cloudevents-batch+json: of the", id="no-batches-in-kafka"),
        pytest.param(in_record(id=""), "has no id", id="no-id"),
    ],
)
def test_records_that_are_no_cloudevents(headers: dict[str, str], error: str) -> None:
    item = record(json.dumps([EVENT]).encode(), headers)
    assert isinstance(item, Poison)
    assert error in item.error


def test_what_the_transport_says_is_kept_and_fills_in_the_time() -> None:
    more = {"attributes": {"topic": "t", "offset": 7}, "time": NOW - 60}
    event = record(b"{}", in_record(topic="forged", tenant="x"), **more)
    assert event.time == NOW - 60
    assert event.attributes == {"id": "7", "source": "/pipelines/orders", "tenant": "x", "topic": "t", "offset": 7}
