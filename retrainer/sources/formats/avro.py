"""Avro records in the Confluent wire format: a zero byte, the schema's id in four bytes, the record.

Values become JSON-shaped: `bytes` and `fixed` as base64, decimals as text, timestamps as RFC 3339 (local ones without a
zone), dates and times as ISO 8601, uuids and enums as text, unions as the value itself, NaN and infinities as null.
Nanoseconds stay integers.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import TYPE_CHECKING, Any, cast

from fastavro import schemaless_reader
from fastavro._read_py import schemaless_reader as careful_reader

from retrainer.sources.formats.avro_schema import ParsedSchema, SchemaUnavailable, SchemaUnusable
from retrainer.sources.formats.payload import MAX_DEPTH, Delivery, Unreadable, poison
from retrainer.sources.formats.plain import Plain, kind_of

if TYPE_CHECKING:
    from uuid import UUID

    from retrainer.event import Event, Poison

__all__ = ["AvroFormat", "ParsedSchema", "SchemaUnavailable", "SchemaUnusable", "Schemas"]

Schemas = Callable[[int], ParsedSchema]
"""Returns a schema by its id. Raises SchemaUnavailable or SchemaUnusable."""
EVENT_TYPE = "avro"
_HEADER = 5


@dataclass(frozen=True, slots=True)
class AvroFormat:
    """``plain`` extracts identity and time. The event type is the name of the record's schema."""

    schemas: Schemas
    plain: Plain

    def parse(self, delivery: Delivery) -> tuple[Event | Poison, ...]:
        """Return one event or dead letter. Raise SchemaUnavailable if the schema cannot be fetched now."""
        try:
            return (self._event(delivery),)
        except Unreadable as error:
            return (poison(delivery, error),)

    def _event(self, delivery: Delivery) -> Event:
        number = _schema_id(delivery)
        schema = self._schema(number)
        kind, value = _read(delivery.body, number, schema)
        data = _shape(value, 1)
        if not isinstance(data, dict):
            raise Unreadable(f"schema {number}: an Avro record is expected, not {kind_of(data)}")
        return self.plain.event(delivery, kind or EVENT_TYPE, data)

    def _schema(self, number: int) -> ParsedSchema:
        try:
            return self.schemas(number)
        except SchemaUnusable as error:
            raise Unreadable(f"schema {number}: {error}") from None


def _schema_id(delivery: Delivery) -> int:
    body = delivery.body
    if len(body) > delivery.max_size:
        raise Unreadable(f"{len(body)} bytes, at most {delivery.max_size} are allowed")
    if len(body) < _HEADER or body[0] != 0:
        raise Unreadable(
            "not in the Confluent wire format: it begins with a zero byte and the four bytes of a schema's id"
        )
    return int.from_bytes(body[1:_HEADER], "big")


def _read(body: bytes, number: int, schema: ParsedSchema) -> tuple[str, Any]:
    """Return the name of the record's schema, if it has one, and the record."""
    stream = BytesIO(body)
    stream.seek(_HEADER)
    # The compiled reader recurses without a limit: 5,000 bytes of a self-nesting record crash the process.
    reader = careful_reader if schema.recursive else schemaless_reader
    try:
        whole = reader(stream, schema.avro, None, return_record_name=True)
    except Exception as error:  # noqa: BLE001 - whatever the reader raises, the bytes are not such a record
        raise Unreadable(f"not a record of schema {number}: {_reason(error)}") from None
    left = len(body) - stream.tell()
    if left:
        raise Unreadable(f"not a record of schema {number}: {left} bytes are left over")
    value = cast("dict[str, Any]", whole)["value"]
    return cast("tuple[str, Any]", value) if isinstance(value, tuple) else (schema.name, value)


def _reason(error: Exception) -> str:
    """Return a message for users: the reader's own ones are about its streams."""
    reasons: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (EOFError, "it ends too early"),
        (UnicodeDecodeError, "a text in it is not UTF-8"),
        (IndexError, "it names a branch or symbol that the schema does not have"),
        (RecursionError, f"nested deeper than {MAX_DEPTH} levels"),
        ((ValueError, ArithmeticError), "a date, time, decimal or uuid in it does not exist"),
    )
    return next((words for kind, words in reasons if isinstance(error, kind)), type(error).__name__)


def _shape(value: Any, depth: int) -> Any:
    """Make a value JSON-shaped. Raise Unreadable if it nests too deeply."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, tuple):  # a record in a union, with its name
        return _shape(value[1], depth)
    if isinstance(value, (dict, list)):
        if depth > MAX_DEPTH:
            raise Unreadable(f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, dict):
            return {name: _shape(item, depth + 1) for name, item in value.items()}
        return [_shape(item, depth + 1) for item in value]
    return _text(value)


def _text(value: bytes | datetime | date | time | Decimal | UUID) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat().replace("+00:00", "Z")
    return format(value, "f") if isinstance(value, Decimal) else str(value)
