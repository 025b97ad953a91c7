"""Makes kafka-python read header names that are not UTF-8, which brokers accept and clients in C can write.

Otherwise it raises in every poll, and such a record blocks all partitions of its source for ever. Undecodable bytes of
a name are escaped instead.
"""

from __future__ import annotations

from typing import Any

from kafka.record.default_records import DefaultRecordBatch

_strictly = DefaultRecordBatch._read_msg  # noqa: SLF001 - there is no public way to a record's bytes


class _Lenient(bytearray):
    """Bytes whose slices always decode."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


def _read_record(batch: DefaultRecordBatch, *arguments: Any, **options: Any) -> Any:
    try:
        return _strictly(batch, *arguments, **options)
    except UnicodeDecodeError:  # the position in the batch advances only after a whole record
        batch._buffer = _Lenient(batch._buffer)  # noqa: SLF001
        return _strictly(batch, *arguments, **options)


def read_any() -> None:
    """Patch kafka-python in this process to read such names."""
    DefaultRecordBatch._read_msg = _read_record  # noqa: SLF001
