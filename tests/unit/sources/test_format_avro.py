import datetime as dt
import decimal
import io
import json
import uuid
from typing import Any

import pytest
from fastavro import schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from retrainer.config.models import KafkaSource
from retrainer.event import Event, Poison
from retrainer.rules.expression import compile_cel
from retrainer.sources.formats import avro_schema
from retrainer.sources.formats.avro import AvroFormat, SchemaUnavailable, SchemaUnusable
from retrainer.sources.formats.payload import Delivery
from retrainer.sources.formats.plain import Plain
from retrainer.sources.formats.registry import parser

NOW = 1_780_000_000.0
DAY = dt.datetime(2026, 3, 1, 2, 30, tzinfo=dt.UTC)
ORDER = {
    "type": "record",
    "name": "Order",
    "namespace": "com.acme",
    "fields": [{"name": "customer", "type": "string"}, {"name": "rows", "type": ["null", "long"], "default": None}],
}
NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}


def written(schema: Any, value: object, number: int = 7) -> bytes:
    stream = io.BytesIO()
    schemaless_writer(stream, schema, value)
    return b"\x00" + number.to_bytes(4, "big") + stream.getvalue()


def read(schema: Any, body: bytes, **more: Any) -> Any:
    parsed = avro_schema.parse(json.dumps(schema))
    (item,) = AvroFormat(lambda _: parsed, Plain(**more)).parse(Delivery("orders", body, NOW, "t:0:7"))
    return item


def one_field(kind: object, value: object) -> Any:
    schema = {"type": "record", "name": "R", "fields": [{"name": "it", "type": kind}]}
    item = read(schema, written(schema, {"it": value}))
    return item.data["it"] if isinstance(item, Event) else item


def test_a_record_becomes_an_event() -> None:
    body = written(ORDER, {"customer": "c-1", "rows": 3})
    assert read(ORDER, body) == Event("orders", "t:0:7", "com.acme.Order", NOW, {"customer": "c-1", "rows": 3})


def test_identity_and_time_are_where_expressions_point() -> None:
    body = written(ORDER, {"customer": "c-1", "rows": 1772332200})
    event = read(ORDER, body, id=compile_cel("data.customer"), time=compile_cel("data.rows"))
    assert (event.id, event.time) == ("c-1", 1772332200.0)


@pytest.mark.parametrize(
    ("kind", "value", "shaped"),
    [
        pytest.param("bytes", b"\xff\x00", "/wA=", id="bytes"),
        pytest.param({"type": "fixed", "name": "F", "size": 2}, b"ab", "YWI=", id="fixed"),
        pytest.param({"type": "enum", "name": "E", "symbols": ["A", "B"]}, "B", "B", id="enum"),
        pytest.param(["null", "string"], None, None, id="union-null"),
        pytest.param(["null", "string"], "x", "x", id="union-branch"),
        pytest.param(
            ["null", ORDER], {"customer": "c", "rows": None}, {"customer": "c", "rows": None}, id="union-record"
        ),
        pytest.param({"type": "long", "logicalType": "timestamp-millis"}, DAY, "2026-03-01T02:30:00Z", id="millis"),
        pytest.param({"type": "long", "logicalType": "timestamp-micros"}, DAY, "2026-03-01T02:30:00Z", id="micros"),
        pytest.param({"type": "long", "logicalType": "timestamp-nanos"}, 5, 5, id="nanos"),
        pytest.param(
            {"type": "long", "logicalType": "local-timestamp-millis"},
            DAY.replace(tzinfo=None),
            "2026-03-01T02:30:00",
            id="local",
        ),
        pytest.param({"type": "int", "logicalType": "date"}, DAY.date(), "2026-03-01", id="date"),
        pytest.param({"type": "int", "logicalType": "time-millis"}, dt.time(2, 30), "02:30:00", id="time"),
        pytest.param(
            {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 7},
            decimal.Decimal("0.0000001"),
            "0.0000001",
            id="decimal-without-exponent",
        ),
        pytest.param({"type": "string", "logicalType": "uuid"}, uuid.UUID(int=5), str(uuid.UUID(int=5)), id="uuid"),
        pytest.param("double", float("nan"), None, id="nan"),
        pytest.param("double", float("-inf"), None, id="infinity"),
        pytest.param("long", -(2**63), -(2**63), id="smallest-long"),
        pytest.param("boolean", True, True, id="boolean"),
        pytest.param(
            {"type": "map", "values": {"type": "array", "items": "bytes"}}, {"a": [b"x"]}, {"a": ["eA=="]}, id="nested"
        ),
    ],
)
def test_values_are_json_shaped(kind: object, value: object, shaped: object) -> None:
    item = one_field(kind, value)
    assert item == shaped
    assert json.loads(json.dumps(item, allow_nan=False)) == shaped


@pytest.mark.parametrize(
    ("kind", "value", "shaped", "words"),
    [
        pytest.param({"type": "bytes", "logicalType": "decimal"}, b"\1", "AQ==", "its precision", id="no precision"),
        pytest.param(
            {"type": "bytes", "logicalType": "decimal", "precision": 0}, b"\1", "AQ==", "its precision", id="no digits"
        ),
        pytest.param(
            {"type": "bytes", "logicalType": "decimal", "precision": 10**9, "scale": 10**9},
            b"\1",
            "AQ==",
            "its precision",
            id="digits that would fill the memory",
        ),
        pytest.param(
            {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3},
            b"\1",
            "AQ==",
            "its scale",
            id="scale",
        ),
        pytest.param(
            {"type": "bytes", "logicalType": "decimal", "precision": "4"}, b"\1", "AQ==", "its precision", id="a text"
        ),
        pytest.param(
            {"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 9},
            b"ab",
            "YWI=",
            "no room",
            id="more digits than bytes have room for",
        ),
        pytest.param({"type": "string", "logicalType": "date"}, "x", "x", "requires int", id="over another type"),
        pytest.param(
            {"type": "int", "logicalType": "timestamp-millis"}, 5, 5, "requires long", id="over a smaller number"
        ),
        pytest.param({"type": "string", "logicalType": "ipv4"}, "::1", "::1", "unknown", id="nobody knows it"),
        pytest.param({"type": "string", "logicalType": 5}, "x", "x", "unknown", id="no name"),
        pytest.param({"type": "string", "logicalType": {"a": 1}}, "x", "x", "unknown", id="a map"),
        pytest.param(
            {"type": "fixed", "name": "F", "size": 4, "logicalType": "uuid"}, b"abcd", "YWJjZA==", "16 bytes", id="uuid"
        ),
        pytest.param(
            ["null", {"type": "array", "items": {"type": "bytes", "logicalType": "decimal", "precision": -1}}],
            [b"\1"],
            ["AQ=="],
            "its precision",
            id="deep inside",
        ),
    ],
)
def test_a_logical_type_that_is_not_valid_is_that_of_the_type_beneath(
    kind: Any, value: object, shaped: object, words: str
) -> None:
    plain = json.loads(json.dumps(kind), object_hook=_without_logical)
    schema, bare = ({"type": "record", "name": "R", "fields": [{"name": "it", "type": k}]} for k in (kind, plain))
    assert read(schema, written(bare, {"it": value})).data == {"it": shaped}
    (ignored,) = avro_schema.parse(json.dumps(schema)).ignored
    assert words in ignored


def _without_logical(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "logicalType"}


def test_logical_types_that_are_valid_are_not_spoken_of() -> None:
    kind = {"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 4}
    assert avro_schema.parse(json.dumps(kind)).ignored == ()


def test_a_union_of_records_says_which_one_it_is() -> None:
    schema = [{"type": "record", "name": "a.Made", "fields": []}, ORDER]
    assert read(schema, written(schema, {"customer": "c", "rows": 1})).type == "com.acme.Order"


@pytest.mark.parametrize(
    ("schema", "body", "error"),
    [
        pytest.param(ORDER, b"", "Confluent wire format", id="empty"),
        pytest.param(ORDER, b'{"a": 1}', "Confluent wire format", id="json"),
        pytest.param(ORDER, b"\x00\x00\x00\x00", "Confluent wire format", id="cut-in-the-id"),
        pytest.param(ORDER, written(ORDER, {"customer": "c-1"})[:-3], "schema 7: it ends too early", id="cut-short"),
        pytest.param(ORDER, written(ORDER, {"customer": "c"}) + b"xy", "2 bytes are left over", id="left-over"),
        pytest.param(ORDER, written("string", "c") + b"\x08", "branch or symbol", id="no-such-branch"),
        pytest.param(ORDER, written("bytes", b"\xff") + b"\x00", "not UTF-8", id="bad-utf-8"),
        pytest.param(ORDER, b"\0\0\0\0\7\x01", "ends too early", id="negative-length"),
        pytest.param("string", written("string", "c"), "an Avro record is expected, not a string", id="no-record"),
        pytest.param(["null", ORDER], written("null", None) + b"\0", "not nothing", id="null"),
        pytest.param(
            {"type": "record", "name": "R", "fields": [{"name": "d", "type": {"type": "int", "logicalType": "date"}}]},
            b"\0\0\0\0\7\xfe\xff\xff\xff\x0f",
            "does not exist",
            id="no-such-day",
        ),
        pytest.param(NODE, b"\0\0\0\0\7" + b"\x02" * 63 + b"\0", None, id="depth-64"),
        pytest.param(NODE, b"\0\0\0\0\7" + b"\x02" * 64 + b"\0", "deeper than 64", id="depth-65"),
        pytest.param(NODE, b"\0\0\0\0\7" + b"\x02" * 1_000_000 + b"\0", "deeper than 64", id="depth-a-million"),
        pytest.param(ORDER, b"\0" + b"x" * (1 << 20), "at most 1048576", id="over-the-size-limit"),
    ],
)
def test_what_cannot_be_read_is_kept_with_its_reason(schema: object, body: bytes, error: str | None) -> None:
    item = read(schema, body)
    if error is None:
        assert isinstance(item, Event)
        return
    assert isinstance(item, Poison)
    assert error in item.error
    assert item.payload == body[: 1 << 20]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param("not JSON", "no Avro schema", id="not-json"),
        pytest.param('{"type": "recrd"}', "a type .*recrd.* neither in it", id="unknown-type"),
        pytest.param('{"type": "record", "fields": []}', "no Avro schema", id="no-name"),
        pytest.param("5", "no Avro schema", id="number"),
        pytest.param("null", "no Avro schema", id="json-null"),
        pytest.param("[" * 900 + "]" * 900, "no Avro schema", id="unions-in-unions"),
        pytest.param('{"type": "array", "items": "null"}', "take no byte", id="array-of-nulls"),
        pytest.param(
            '{"type": "map", "values": {"type": "array", "items": {"type": "record", "name": "R", "fields": []}}}',
            "take no byte",
            id="array-of-empty-records",
        ),
        pytest.param(
            '{"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}',
            "take no byte",
            id="array-of-fixed-0",
        ),
        pytest.param(
            '{"type": "record", "name": "N", "fields": [{"name": "a", "type": {"type": "array", "items": "N"}}]}',
            None,
            id="an-array-takes-a-byte",
        ),
    ],
)
def test_schemas_that_cannot_be_used(text: str, error: str | None) -> None:
    if error is None:
        assert avro_schema.parse(text).recursive
        return
    with pytest.raises(SchemaUnusable, match=error):
        avro_schema.parse(text)


def doubled(times: int, end: str) -> str:
    """A record with two of the next record, and so on."""
    part: Any = {"type": "record", "name": f"R{times}", "fields": [{"name": "n", "type": end}]}
    for i in range(times - 1, -1, -1):
        fields = [{"name": "a", "type": part}, {"name": "b", "type": f"R{i + 1}"}]
        part = {"type": "record", "name": f"R{i}", "fields": fields}
    return json.dumps(part)


def listed(items: str) -> str:
    return f'{{"type": "array", "items": {items}}}'


WIDE = {"type": "record", "name": "W", "fields": [{"name": f"f{i}", "type": ["null", "long"]} for i in range(300)]}
NULLS = {"type": "record", "name": "E", "fields": [{"name": f"f{i}", "type": "null"} for i in range(50)]}
MAP_OF_NULLS = json.dumps({"type": "map", "values": NULLS})


@pytest.mark.parametrize(
    ("text", "error"),
    [
        pytest.param(doubled(40, "null"), "a record of no bytes has more than", id="a billion values of nothing"),
        pytest.param(listed(json.dumps(["null", NULLS])), "more than 4 values for each", id="50 nulls for a byte"),
        pytest.param(MAP_OF_NULLS, "more than 4 values for each", id="50 nulls for a name"),
        pytest.param(doubled(12, "null"), None, id="some thousand values of nothing"),
        pytest.param(doubled(40, "boolean"), None, id="a billion values that take a byte each"),
        pytest.param(listed(json.dumps(["null", WIDE])), None, id="300 fields that may be missing"),
        pytest.param(listed(doubled(3, "boolean")), None, id="a boolean within records"),
        pytest.param(json.dumps(NULLS), None, id="50 nulls"),
        pytest.param(json.dumps(NODE), None, id="a record in itself"),
    ],
)
def test_a_few_bytes_do_not_become_any_number_of_values(text: str, error: str | None) -> None:
    if error is None:
        avro_schema.parse(text)
        return
    with pytest.raises(SchemaUnusable, match=error):
        avro_schema.parse(text)


def test_references_are_read_before_what_names_them() -> None:
    customer = {"type": "record", "name": "com.acme.Customer", "fields": [{"name": "id", "type": "string"}]}
    order = {"type": "record", "name": "O", "fields": [{"name": "by", "type": "com.acme.Customer"}]}
    parsed = avro_schema.parse(json.dumps(order), [json.dumps(customer)])
    body = b"\0\0\0\0\7\x06c-1"
    (item,) = AvroFormat(lambda _: parsed, Plain()).parse(Delivery("orders", body, NOW, "t:0:7"))
    assert isinstance(item, Event)
    assert item.data == {"by": {"id": "c-1"}}
    named = avro_schema.parse('"com.acme.Customer"', [json.dumps(customer)])
    assert (named.name, named.recursive) == ("com.acme.Customer", False)


def test_a_registry_that_is_down_is_no_fault_of_the_record() -> None:
    def down(_: int) -> Any:
        raise SchemaUnavailable("no answer")

    def unknown(number: int) -> Any:
        raise SchemaUnusable(f"no {number}")

    delivery = Delivery("orders", b"\0\0\0\1\1x", NOW, "t:0:7")
    with pytest.raises(SchemaUnavailable):
        AvroFormat(down, Plain()).parse(delivery)
    (item,) = AvroFormat(unknown, Plain()).parse(delivery)
    assert isinstance(item, Poison)
    assert item.error == "schema 257: no 257"


def test_a_source_says_by_its_format_how_it_is_read() -> None:
    settings = {"type": "kafka", "bootstrap_servers": ["a:1"], "group_id": "g", "format": "avro", "id": "data.customer"}
    source = KafkaSource.model_validate(settings)
    parsed = avro_schema.parse(json.dumps(ORDER))
    (item,) = parser(source, lambda _: parsed)(Delivery("orders", written(ORDER, {"customer": "c-1"}), NOW, "t:0:7"))
    assert item.id == "c-1"
    with pytest.raises(ValueError, match="schema_registry"):
        parser(source)


WIDE = {
    "type": "record",
    "name": "W",
    "fields": [
        {"name": "a", "type": {"type": "array", "items": ["null", "string", "double", "W"]}},
        {"name": "b", "type": {"type": "map", "values": {"type": "long", "logicalType": "timestamp-micros"}}},
        {"name": "c", "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        {"name": "d", "type": {"type": "int", "logicalType": "time-millis"}},
    ],
}


@pytest.mark.parametrize("recursive", [True, False])
@given(body=st.binary(max_size=80))
def test_whatever_comes_becomes_an_event_or_poison(body: bytes, *, recursive: bool) -> None:
    schema = json.loads(json.dumps(WIDE) if recursive else json.dumps(WIDE).replace(', "W"', ""))
    item = read(schema, b"\0\0\0\0\7" + body)
    assert isinstance(item, (Event, Poison))
    if isinstance(item, Event):
        json.dumps(item.data, allow_nan=False)
