"""kafka-python parses record batches with any bytes as header names."""

from __future__ import annotations

import struct

import pytest
from kafka.record import MemoryRecords
from kafka.record._crc32c import crc
from kafka.record.default_records import DefaultRecordBatchBuilder

from retrainer.sources.kafka import consumer

NAME = "name"
CRC_AT, CRC_FROM = 17, 21
"""Position of the checksum in a batch, and start of its range: https://kafka.apache.org/documentation/#recordbatch"""


def batch(name: bytes, compression: int = 0) -> bytes:
    """A batch of three records as a C client writes it. The second record has the given header name."""
    assert len(name) == len(NAME)
    built = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=compression,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=9999,
    )
    for offset in range(3):
        headers = [(NAME, b"v")] if offset == 1 else [("other", b"w")]
        built.append(offset, timestamp=1, key=None, value=b"{}", headers=headers)
    whole = built.build().replace(NAME.encode(), name)
    return whole[:CRC_AT] + struct.pack(">I", crc(whole[CRC_FROM:])) + whole[CRC_FROM:]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        pytest.param(b"ce_i", "ce_i", id="plain"),
        pytest.param("näm".encode(), "näm", id="not ASCII"),
        pytest.param(b"a\xff\xfeb", "a\\xff\\xfeb", id="not UTF-8"),
        pytest.param(b"\xe4\xf6\xfc\xdf", "\\xe4\\xf6\\xfc\\xdf", id="Latin-1"),
    ],
)
def test_no_header_name_keeps_the_records_of_a_batch_from_being_read(name: bytes, read: str) -> None:
    assert consumer.MOST_RECORDS  # its import installs the parser for every consumer
    found = MemoryRecords(batch(name)).next_batch()
    assert found.validate_crc()
    assert [(r.offset, r.value, [h[0] for h in r.headers]) for r in found] == [
        (0, b"{}", ["other"]),
        (1, b"{}", [read]),
        (2, b"{}", ["other"]),
    ]
