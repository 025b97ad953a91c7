"""Logical types of Avro schemas. Unknown and invalid ones are ignored, as the specification requires.

https://avro.apache.org/docs/1.12.0/specification/#logical-types: "implementations must ignore unknown logical types
when reading, and should use the underlying Avro type". The same holds for logical types with invalid attributes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_DIGITS = 1000
"""Maximum precision of a decimal: each value takes as many characters as its scale, whatever the record's size."""
_TYPES: Mapping[str, tuple[str, ...]] = {
    "decimal": ("bytes", "fixed"),
    "uuid": ("string", "fixed"),
    "date": ("int",),
    "time-millis": ("int",),
    **dict.fromkeys(("time-micros", "timestamp-millis", "timestamp-micros", "timestamp-nanos"), ("long",)),
    **dict.fromkeys(("local-timestamp-millis", "local-timestamp-micros", "local-timestamp-nanos"), ("long",)),
    "duration": ("fixed",),
}
_SIZES = {"uuid": 16, "duration": 12}
"""Bytes of `fixed` types."""
_INNER = ("type", "items", "values")


def without_invalid(schema: Any, ignored: set[str]) -> Any:
    """Return a schema (parsed JSON) without such logical types. Adds a description of each one to ``ignored``."""
    if isinstance(schema, list):
        return [without_invalid(branch, ignored) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: without_invalid(part, ignored) if name in _INNER else part for name, part in schema.items()}
    if isinstance(kept.get("fields"), list):
        kept["fields"] = [without_invalid(field, ignored) for field in kept["fields"]]
    if "logicalType" in kept and (trouble := _trouble(kept)):
        ignored.add(f"{kept['logicalType']!r:.40} of {kept.get('type')!r:.40}: {trouble}")
        del kept["logicalType"]
    return kept


def _trouble(schema: Mapping[str, Any]) -> str:
    """Return what is wrong with a logical type; empty if nothing is."""
    kind, beneath = schema["logicalType"], schema.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return "it is unknown"
    if not isinstance(beneath, str) or beneath not in _TYPES[kind]:
        return f"it requires {' or '.join(_TYPES[kind])}"
    if beneath == "fixed" and kind in _SIZES and schema.get("size") != _SIZES[kind]:
        return f"it takes {_SIZES[kind]} bytes"
    return _decimal(schema) if kind == "decimal" else ""


def _decimal(schema: Mapping[str, Any]) -> str:
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if type(precision) is not int or not 0 < precision <= MOST_DIGITS:
        return f"its precision is a number from 1 to {MOST_DIGITS}"
    if type(scale) is not int or not 0 <= scale <= precision:
        return "its scale is a number from 0 to its precision"
    size = schema.get("size")
    if schema.get("type") == "fixed" and type(size) is int and precision > _digits(size):
        return f"{size} bytes have no room for {precision} digits"
    return ""


def _digits(size: int) -> int:
    """Return the digits that always fit into so many bytes, in two's complement: floor(log10(2^(8n-1) - 1))."""
    return math.floor((8 * size - 1) * math.log10(2)) if size > 0 else 0
