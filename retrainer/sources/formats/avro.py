"""Avro records in the Confluent wire format: a zero byte, the schema's id in four bytes, the record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

ParsedSchema = Mapping[str, Any]
Schemas = Callable[[int], ParsedSchema]


class SchemaUnavailable(Exception):
    """The registry cannot be asked right now: nothing is wrong with the record, and it has to be read again later."""
