"""The data of an event as the ledger keeps it: JSON, or packed where it is large.

A poll of many series repeats names and labels in each of them. Rows of the same fields become columns, where alike
stands beside alike, and these are compressed. It stays one text, complete in itself, that any database can keep.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST = 4096
"""Bytes of JSON from which on data is packed."""
_MARK = "z:"
"""No JSON begins so."""
_LEVEL = 1
"""Of zlib. Level 6 saves a tenth more of noisy values, and takes five times as long."""
_FEWEST = 8
"""Rows that are worth being turned into columns."""


def pack(data: Mapping[str, Any]) -> str:
    """JSON, or the mark and base64 of what `unpack` reads."""
    plain = orjson.dumps(data)
    if len(plain) < LEAST:
        return plain.decode()
    rest = {name: value for name, value in data.items() if not _are_rows(value)}
    columns = {name: _columns(value) for name, value in data.items() if name not in rest}
    told = orjson.dumps([list(data), rest, columns]) if columns else plain
    return _MARK + base64.b64encode(zlib.compress(told, _LEVEL)).decode()


def unpack(text: str) -> Any:
    """What was packed, its fields in the order in which they were."""
    return unpack_some(text, None)[0]


def unpack_some(text: str, fields: frozenset[str] | None) -> tuple[Any, int]:
    """These fields of what was packed (all if None), in the order in which they were, and how many bytes were read."""
    if not text.startswith(_MARK):
        return _picked(orjson.loads(text), fields), len(text)
    plain = zlib.decompress(base64.b64decode(text[len(_MARK) :]))
    told = orjson.loads(plain)
    if isinstance(told, dict):
        return _picked(told, fields), len(plain)
    names, rest, columns = told
    wanted = names if fields is None else [name for name in names if name in fields]
    return {name: rest[name] if name in rest else _rows(columns[name]) for name in wanted}, len(plain)


def _picked(told: Any, fields: frozenset[str] | None) -> Any:
    return told if fields is None else {name: told[name] for name in told if name in fields}


def _are_rows(value: object) -> bool:
    """Whether all of them have the same fields in the same order."""
    if not isinstance(value, list) or len(value) < _FEWEST or not isinstance(value[0], dict) or not value[0]:
        return False
    names = list(value[0])
    return all(isinstance(row, dict) and list(row) == names for row in value)


def _columns(values: Sequence[Any]) -> dict[str, Any]:
    if not _are_rows(values):
        return {"values": values}
    return {"columns": {name: _columns([row[name] for row in values]) for name in values[0]}}


def _rows(told: Mapping[str, Any]) -> Sequence[Any]:
    if "values" in told:
        values: Sequence[Any] = told["values"]
        return values
    columns = told["columns"]
    rows = zip(*(_rows(column) for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
