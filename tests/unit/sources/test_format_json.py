import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrainer.event import Event, Poison
from retrainer.rules.expression import compile_cel
from retrainer.sources.formats import cloudevents, payload, s3
from retrainer.sources.formats.json import JsonFormat
from retrainer.sources.formats.payload import MAX_ID, Delivery, Unreadable, event_id, event_time
from retrainer.sources.formats.registry import IDEMPOTENCY_KEY

NOW = 1_780_000_000.0


def deliver(body: bytes, headers: dict[str, str] | None = None) -> Delivery:
    return Delivery("push", body, NOW, "request:1", headers or {})


def read(body: bytes, headers: dict[str, str] | None = None, id: str | None = None, time: str | None = None) -> Any:  # noqa: A002
    programs = [compile_cel(text) if text else None for text in (id, time)]
    (item,) = JsonFormat(*programs, IDEMPOTENCY_KEY).parse(deliver(body, headers))
    return item


def test_an_object_becomes_an_event() -> None:
    assert read(b'{"rows": 3}') == Event("push", "request:1", "json", NOW, {"rows": 3})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"rows=3", "not JSON", id="form"),
        pytest.param(b'{"a": 1', "not JSON", id="cut-short"),
        pytest.param(b'{"a": 1} {"a": 2}', "not JSON", id="two-documents"),
        pytest.param(b'\xef\xbb\xbf{"a": 1}', "BOM", id="bom"),
        pytest.param(b'{"a": "\xff"}', "UTF-8", id="bad-utf-8"),
        pytest.param(rb'{"a": "\ud800"}', "surrogate", id="lone-surrogate"),
        pytest.param(b'{"a": NaN}', "not JSON", id="nan"),
        pytest.param(b'{"a": -Infinity}', "not JSON", id="infinity"),
        pytest.param(b'{"a": 1e999}', "infinity", id="float-too-large"),
        pytest.param(b"[1]", "not a list", id="list"),
        pytest.param(b"null", "not nothing", id="null"),
        pytest.param(b'"text"', "not a string", id="string"),
        pytest.param(b"5", "not a number", id="number"),
        pytest.param(b'{"a":' * 64 + b"1" + b"}" * 64, None, id="depth-64"),
        pytest.param(b'{"a":' * 65 + b"1" + b"}" * 65, "deeper than 64", id="depth-65"),
        pytest.param(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}", "deeper than 64", id="depth-65-lists"),
        pytest.param(b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "depth limit", id="depth-5000"),
        pytest.param(b'{"a": 9223372036854775807}', None, id="largest-integer"),
        pytest.param(b'{"a": 9223372036854775808}', "beyond 64 bits", id="integer-2^63"),
        pytest.param(b'{"a": 18446744073709551616}', "18446744073709551616 is beyond", id="integer-2^64"),
        pytest.param(b'{"a": -9223372036854775808}', None, id="smallest-integer"),
        pytest.param(b'{"a": -9223372036854775809}', "beyond 64 bits", id="integer-below"),
        pytest.param(b'{"b": [0.5, {"a": ' + b"7" * 300 + b"}]}", "beyond 64 bits", id="integer-of-300-digits"),
        pytest.param(b'{"a": 1e20}', None, id="a-float-may-be-large"),
        pytest.param(b'{"a": 18446744073709551616.0}', None, id="a-float-that-looks-like-2^64"),
        pytest.param(b'{"a": "' + b"x" * (1 << 20) + b'"}', "at most 1048576", id="over-the-size-limit"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(body: bytes, error: str | None) -> None:
    item = read(body)
    if error is None:
        assert isinstance(item, Event)
        return
    assert isinstance(item, Poison)
    assert error in item.error
    assert item.payload == body[: 1 << 20]


def test_the_same_unreadable_payload_is_known_again() -> None:
    assert read(b"nope").id == read(b"nope").id != read(b"nope2").id


@pytest.mark.parametrize(
    ("id", "headers", "identity"),
    [
        pytest.param(None, {}, "request:1", id="neither"),
        pytest.param(None, {"idempotency-key": "k-7"}, "k-7", id="header"),
        pytest.param("data.order", {"idempotency-key": "k-7"}, "o-1", id="expression-beats-header"),
        pytest.param("data.number", {}, "12", id="integer"),
        pytest.param("headers['x-delivery'] + '/' + data.order", {"x-delivery": "d"}, "d/o-1", id="over-headers"),
        pytest.param("data.long", {}, "sha256:", id="too-long-is-hashed"),
    ],
)
def test_identity(id: str | None, headers: dict[str, str], identity: str) -> None:  # noqa: A002
    body = b'{"order": "o-1", "number": 12, "long": "' + b"x" * 2000 + b'"}'
    assert read(body, headers, id=id).id.startswith(identity)


@pytest.mark.parametrize(
    ("id", "error"),
    [
        pytest.param("data.missing", "gives nothing", id="missing-field"),
        pytest.param("data.none", "gives nothing", id="null"),
        pytest.param("data.empty", "gives an empty string", id="empty"),
        pytest.param("data.flag", "gives a boolean", id="boolean"),
        pytest.param("data.list", "gives a list", id="list"),
        pytest.param("data.empty + 1", "data.empty + 1", id="does-not-evaluate"),
        pytest.param("headers['authorization']", "gives nothing", id="secrets-are-out-of-reach"),
    ],
)
def test_an_event_without_the_identity_it_should_have_is_kept(id: str, error: str) -> None:  # noqa: A002
    item = read(b'{"none": null, "empty": "", "flag": true, "list": []}', {"authorization": "Bearer x"}, id=id)
    assert isinstance(item, Poison)
    assert error in item.error


@pytest.mark.parametrize(
    ("value", "time"),
    [
        pytest.param(None, NOW, id="missing-means-received"),
        pytest.param("", NOW, id="empty-means-received"),
        pytest.param("2026-03-01T02:30:00Z", 1772332200.0, id="utc"),
        pytest.param("2026-03-01t03:30:00.25+01:00", 1772332200.25, id="offset-and-fraction"),
        pytest.param(1772332200, 1772332200.0, id="seconds"),
        pytest.param(1772332200.5, 1772332200.5, id="fractional-seconds"),
        pytest.param(0, 0.0, id="1970"),
        pytest.param("1970-01-02T00:00:00Z", 86400.0, id="long-ago-is-taken"),
        pytest.param(NOW + 86400, NOW + 86400, id="a-day-ahead-is-taken"),
        pytest.param(NOW + 86401, "more than a day in the future", id="beyond-a-day-ahead"),
        pytest.param("9999-12-31T23:59:59Z", "more than a day in the future", id="far-future"),
        pytest.param(1772332200000, "milliseconds", id="milliseconds"),
        pytest.param(-1, "before 1970", id="negative"),
        pytest.param(float("nan"), "before 1970", id="nan"),
        pytest.param("0001-01-01T00:00:00+14:00", "before 1970", id="year-1"),
        pytest.param("2026-02-30T00:00:00Z", "does not exist", id="no-such-day"),
        pytest.param("2026-03-01T02:30:00", "time zone", id="no-zone"),
        pytest.param("2026-03-01", "RFC 3339", id="date-only"),
        pytest.param("yesterday", "RFC 3339", id="words"),
        pytest.param("1772332200", "RFC 3339", id="seconds-as-string"),
        pytest.param(True, "RFC 3339", id="boolean"),
        pytest.param({}, "RFC 3339", id="object"),
    ],
)
def test_event_time(value: object, time: float | str) -> None:
    if isinstance(time, float):
        assert event_time(value, NOW) == time
    else:
        with pytest.raises(Unreadable, match=time):
            event_time(value, NOW)


@pytest.mark.parametrize(
    ("expression", "time"),
    [
        pytest.param("data.at", 1772332200.0, id="string"),
        pytest.param("timestamp(data.at)", 1772332200.0, id="timestamp"),
        pytest.param("data.ms / 1000", 1772332200.0, id="computed"),
        pytest.param("data.nowhere", NOW, id="missing-means-received"),
        pytest.param("data.ms", None, id="milliseconds"),
    ],
)
def test_time_expression(expression: str, time: float | None) -> None:
    item = read(b'{"at": "2026-03-01T02:30:00Z", "ms": 1772332200000}', time=expression)
    assert isinstance(item, Poison) if time is None else item.time == time


def test_what_the_transport_says_becomes_attributes_and_fills_in_the_time() -> None:
    delivery = Delivery("orders", b'{"at": 5}', NOW, "t/0/7", {}, attributes={"topic": "t"}, time=NOW - 60)
    assert JsonFormat().parse(delivery) == (Event("orders", "t/0/7", "json", NOW - 60, {"at": 5}, "", {"topic": "t"}),)
    (timed,) = JsonFormat(None, compile_cel("data.at")).parse(delivery)
    assert isinstance(timed, Event)
    assert timed.time == 5


def test_only_requests_are_named_by_a_header() -> None:
    (item,) = JsonFormat().parse(deliver(b"{}", {"idempotency-key": "k-7"}))
    assert item.id == "request:1"


numbers = st.integers(-(2**66), 2**66) | st.sampled_from([10**18 - 1, 10**18, 2**63 - 1, 2**63, -(2**63), 1e19])
nested = st.recursive(
    numbers | st.text("0123456789[{\\", max_size=24),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("9[{", max_size=20), inner, max_size=3),
)


@given(value=nested, depth=st.integers(0, 70))
def test_what_the_bytes_clear_the_walk_clears_too(value: object, depth: int) -> None:
    body = b'{"a":' * depth + json.dumps(value).encode() + b"}" * depth
    if payload._harmless(body):
        read = orjson.loads(body)
        if payload._suspicious(read, 1):
            json.loads(body, parse_int=payload._integer)  # raises if one of the floats was an integer


def test_an_identity_fits_an_index_and_stays_distinct() -> None:
    long = ["ü" * MAX_ID + end for end in "ab"]
    assert len({event_id(text) for text in long}) == 2
    assert all(len(event_id(text).encode()) <= MAX_ID for text in long)
    assert len({event_id(text) for text in ("a\0b", "a\0c", "ab", "a")}) == 4
    assert "\0" not in event_id("a\0b")


KEYS = st.sampled_from(
    [
        "Records",
        "Event",
        "s3",
        "bucket",
        "object",
        "key",
        "name",
        "size",
        "eventName",
        "eventTime",
        "id",
        "source",
        "type",
        "specversion",
        "time",
        "data",
        "data_base64",
        "datacontenttype",
        "subject",
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["s3:X", "1.0"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | KEYS, inner, max_size=6),
    max_leaves=12,
)
headers = st.dictionaries(
    st.sampled_from(["content-type", "ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-x"]),
    st.sampled_from([cloudevents.STRUCTURED, cloudevents.BATCH, "text/plain", "1.0", "%ff", '"a\\"', ""]) | st.text(),
)


def documents() -> st.SearchStrategy[bytes]:
    return st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())


@given(body=documents(), sent=headers)
def test_whatever_comes_becomes_events_or_poison(body: bytes, sent: dict[str, str]) -> None:
    json_format = JsonFormat(compile_cel("data.id"), compile_cel("data.time"))
    for parse in (cloudevents.parse, s3.parse, json_format.parse):
        assert all(isinstance(item, (Event, Poison)) for item in parse(deliver(body, sent)))
