"""Header names that are no UTF-8: brokers take them, clients in C write them, and kafka-python raises in every poll.

Such a record would hold up all partitions of its source for ever. What cannot be decoded of a name is escaped instead.
"""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch

_strictly = DefaultRecordBatch._read_msg  # noqa: SLF001 - there is no public way to a record's bytes


class _Lenient(bytearray):
    """Bytes whose slices can be decoded, whatever they are."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def _read_record(batch: DefaultRecordBatch, *arguments: Any, **options: Any) -> Any:
    try:
        return _strictly(batch, *arguments, **options)
    except UnicodeDecodeError:  # its position in the batch moves on only once all of a record was read
        batch._buffer = _Lenient(batch._buffer)  # noqa: SLF001
        return _strictly(batch, *arguments, **options)


def read_any() -> None:
    """Have kafka-python read them, in this process."""
    DefaultRecordBatch._read_msg = _read_record  # noqa: SLF001
