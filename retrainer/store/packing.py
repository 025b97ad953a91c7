"""Encoding of an event's data in the ledger: JSON, or packed if it is large.

A poll of many series repeats names and labels in each of them. Rows with the same fields are converted to columns,
which puts similar values together, and compressed. The result is one self-contained text that any database can store.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST = 4096
"""Minimum bytes of JSON for data to be packed."""
_MARK = "z:"
"""Prefix of packed data. No JSON starts with it."""
_LEVEL = 1
"""zlib level. Level 6 saves a tenth more with noisy values, and takes five times as long."""
_FEWEST = 8
"""Minimum rows for a conversion to columns."""


def pack(data: Mapping[str, Any]) -> str:
    """Return JSON, or the mark and the packed data in base64."""
    plain = orjson.dumps(data)
    if len(plain) < LEAST:
        return plain.decode()
    rest = {name: value for name, value in data.items() if not _are_rows(value)}
    columns = {name: _columns(value) for name, value in data.items() if name not in rest}
    content = orjson.dumps([list(data), rest, columns]) if columns else plain
    return _MARK + base64.b64encode(zlib.compress(content, _LEVEL)).decode()


def unpack(text: str) -> Any:
    """Return the packed data, with its fields in their original order."""
    return unpack_some(text, None)[0]


def unpack_some(text: str, fields: frozenset[str] | None) -> tuple[Any, int]:
    """Return these fields of the packed data (all if None) in their original order, and the number of bytes read."""
    if not text.startswith(_MARK):
        return _picked(orjson.loads(text), fields), len(text)
    plain = zlib.decompress(base64.b64decode(text[len(_MARK) :]))
    content = orjson.loads(plain)
    if isinstance(content, dict):
        return _picked(content, fields), len(plain)
    names, rest, columns = content
    wanted = names if fields is None else [name for name in names if name in fields]
    return {name: rest[name] if name in rest else _rows(columns[name]) for name in wanted}, len(plain)


def _picked(content: Any, fields: frozenset[str] | None) -> Any:
    return content if fields is None else {name: content[name] for name in content if name in fields}


def _are_rows(value: object) -> bool:
    """Whether the value is a list of enough rows with the same fields in the same order."""
    if not isinstance(value, list) or len(value) < _FEWEST or not isinstance(value[0], dict) or not value[0]:
        return False
    names = list(value[0])
    return all(isinstance(row, dict) and list(row) == names for row in value)


def _columns(values: Sequence[Any]) -> dict[str, Any]:
    if not _are_rows(values):
        return {"values": values}
    return {"columns": {name: _columns([row[name] for row in values]) for name in values[0]}}


def _rows(content: Mapping[str, Any]) -> Sequence[Any]:
    if "values" in content:
        values: Sequence[Any] = content["values"]
        return values
    columns = content["columns"]
    rows = zip(*(_rows(column) for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
