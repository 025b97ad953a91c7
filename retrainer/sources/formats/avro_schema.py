"""Parses schemas for reading, and rejects those with which a small record could exhaust memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
from fastavro import parse_schema
from fastavro.schema import SchemaParseException, UnknownType

from retrainer.sources.formats.avro_logical import without_invalid
from retrainer.sources.formats.avro_surplus import MOST_VALUES, PER_BYTE, Surplus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Type = dict[str, Any] | list[Any] | str
_WRAPPER = "RetrainerValue"
_RECORDS = ("record", "error")


class SchemaUnusable(Exception):
    """Records of this schema can never be read. The message says why."""


class SchemaUnavailable(Exception):
    """The registry cannot be reached now. Nothing is wrong with the record; it must be read again later."""


@dataclass(frozen=True, slots=True)
class ParsedSchema:
    """``avro``: a record with one field `value` of the schema. The wrapper takes no byte and works for any schema.

    ``name``: the full name of the record type, empty if the schema has no single one. ``recursive``: a record may nest
    in itself to any depth.
    """

    avro: dict[str, Any]
    name: str
    recursive: bool
    ignored: tuple[str, ...] = ()
    """Descriptions of ignored logical types: their values are those of the underlying types."""


def parse(text: str, references: Sequence[str] = ()) -> ParsedSchema:
    """Parse a schema. ``references``: the texts of the schemas it refers to, each after its own references.

    Raise SchemaUnusable.
    """
    named: dict[str, Any] = {}
    ignored: set[str] = set()
    try:
        for reference in references:
            parse_schema(without_invalid(orjson.loads(reference), ignored), named)
        own = without_invalid(orjson.loads(text), ignored)
        wrapper = {"type": "record", "name": _WRAPPER, "fields": [{"name": "value", "type": own}]}
        return replace(_checked(parse_schema(wrapper, named), named), ignored=tuple(sorted(ignored)))
    except UnknownType as error:
        raise SchemaUnusable(
            f"it names a type {error.name!s:.80} that is neither in it nor among its references"
        ) from None
    except (SchemaParseException, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise SchemaUnusable(f"it is no Avro schema: {error!s:.200}") from None


def _checked(avro: Any, named: dict[str, Any]) -> ParsedSchema:
    value = avro["fields"][0]["type"]
    widths: dict[str, bool] = {}
    items = list(_held([value, *named.values()], "array", "items"))
    if any(not _takes_bytes(each, named, widths) for each in items):
        raise SchemaUnusable(
            "it has an array whose items take no byte, so that a few bytes could claim any number of them"
        )
    surplus = Surplus(named)
    if surplus.of(value) > MOST_VALUES:
        raise SchemaUnusable(f"a record of no bytes has more than {MOST_VALUES} values by it")
    entries = _held([value, *named.values()], "map", "values")  # the name of an entry takes at least one byte
    if any(surplus.of(each) > 0 for each in items) or any(surplus.of(each) > PER_BYTE for each in entries):
        raise SchemaUnusable(f"it has a list or map that may hold more than {PER_BYTE} values for each byte it takes")
    return ParsedSchema(avro, _full_name(value, named), _recursive(value, named, (), set()))


def _full_name(value: Type, named: dict[str, Any]) -> str:
    if isinstance(value, dict):
        return str(value.get("name", ""))
    return value if isinstance(value, str) and value in named else ""


def _inner(part: Type) -> list[Any]:
    """Return the types directly inside a type."""
    if isinstance(part, list):
        return part
    if isinstance(part, str):
        return []
    if part["type"] in _RECORDS:
        return [field["type"] for field in part["fields"]]
    return [part[name] for name in ("items", "values") if name in part]


def _held(parts: list[Any], kind: str, field: str) -> Iterator[Type]:
    """Yield the item type of each array, or the value type of each map, in these types."""
    for part in parts:
        if isinstance(part, dict) and part["type"] == kind:
            yield part[field]
        yield from _held(_inner(part), kind, field)


def _takes_bytes(part: Type, named: dict[str, Any], known: dict[str, bool]) -> bool:
    """Return whether each value of a type takes at least one byte; ``known`` has the records checked so far."""
    if isinstance(part, str):
        return _takes_bytes(named[part], named, known) if part in named else part != "null"
    if isinstance(part, list):  # the index of the branch takes a byte
        return True
    if part["type"] == "fixed":
        return bool(part["size"])
    if part["type"] not in _RECORDS:
        return bool(part["type"] != "null")
    name = part["name"]
    if name not in known:
        known[name] = False  # for a record that contains itself
        known[name] = any(_takes_bytes(inner, named, known) for inner in _inner(part))
    return known[name]


def _recursive(part: Type, named: dict[str, Any], above: tuple[str, ...], clear: set[str]) -> bool:
    """Return whether a record can contain itself; ``clear`` has the records that are known not to."""
    if isinstance(part, str):
        if part not in named or part in clear:
            return False
        return part in above or _recursive(named[part], named, above, clear)
    name = part["name"] if isinstance(part, dict) and part["type"] in _RECORDS else None
    if any(_recursive(inner, named, (*above, name) if name else above, clear) for inner in _inner(part)):
        return True
    if name:
        clear.add(name)
    return False
