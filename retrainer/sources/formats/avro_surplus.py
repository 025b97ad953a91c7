"""Counts how many more values a type can produce than its bytes allow for.

A null takes no byte, nor does a record of nulls. A record with two fields of a record with two fields, and so on,
produces a million empty values after twenty levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

PER_BYTE = 4
"""Values allowed per byte: a boolean within three records."""
MOST_VALUES = 100_000
"""Values of one record beyond that."""
_RECORDS = ("record", "error")
_LEAST = 10 * MOST_VALUES


class Surplus:
    """``named``: the types by their full names."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._known: dict[str, int] = {}

    def of(self, part: Any) -> int:
        """Return the most values beyond `PER_BYTE` per byte that a type can produce; counting stops far above."""
        if isinstance(part, list):  # the index of the branch takes a byte
            return max(map(self.of, part), default=0) - PER_BYTE
        if isinstance(part, str):
            return self.of(self._named[part]) if part in self._named else _plain(part)
        if part["type"] in _RECORDS:
            return self._of_record(part)
        return 1 - PER_BYTE * part["size"] if part["type"] == "fixed" else _plain(part["type"])

    def _of_record(self, record: Mapping[str, Any]) -> int:
        name = record["name"]
        if name not in self._known:
            self._known[name] = 0  # for a record in itself: the byte of its union or array already counts
            total = 1
            for field in record["fields"]:
                total = max(-_LEAST, min(total + self.of(field["type"]), _LEAST))
            self._known[name] = total
        return self._known[name]


def _plain(kind: Any) -> int:
    return 1 if kind == "null" else 1 - PER_BYTE
