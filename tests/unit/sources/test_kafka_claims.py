"""A claimed partition is compared with the current state of the log, not with an earlier one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from retrainer.sources.base import Claimed
from retrainer.sources.kafka.claims import PartitionClaims
from retrainer.sources.kafka.partitions import Part
from retrainer.sources.kafka.positions import Positions
from retrainer.util.clock import SystemClock

TP = TopicPartition("orders", 2)


class Broker:
    """A consumer with one partition whose log ends at `end`."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.sought: list[int] = []
        cluster = SimpleNamespace(
            partitions_for_topic=lambda _: {0, 1, 2}, topic_id=lambda _: None, leader_for_partition=lambda _: 1
        )
        self._client = SimpleNamespace(cluster=cluster)

    def beginning_offsets(self, parts: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, 0)

    def end_offsets(self, parts: list[TopicPartition], timeout_ms: int) -> dict[TopicPartition, int]:
        return dict.fromkeys(parts, self.end)

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    def pause(self, _: TopicPartition) -> None: ...


def claims(broker: Broker, stored: int, written_meanwhile: int) -> PartitionClaims:
    """Claims whose store has ``stored``. Another reader reads that many new records before the store answers."""

    def claim(source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        broker.end += written_meanwhile
        return Claimed(stored, 7, "")

    intake: Any = SimpleNamespace(claim=claim)
    consumer: Any = broker
    return PartitionClaims("s", consumer, Positions("s", consumer, intake, "earliest"), SystemClock())


@pytest.mark.parametrize(
    ("end", "stored", "written_meanwhile"),
    [
        pytest.param(20, 20, 0, id="nothing waits"),
        pytest.param(25, 20, 0, id="some wait"),
        pytest.param(20, 22, 2, id="another replica read on since the log was asked"),
        pytest.param(20, 22, 5, id="and more was written"),
    ],
)
def test_it_is_read_from_where_the_store_is(end: int, stored: int, written_meanwhile: int) -> None:
    broker, part = Broker(end), Part(TP, "orders/2")
    assert claims(broker, stored, written_meanwhile).claim_due([part]) == [part]
    assert (part.halt, part.cut, broker.sought) == ("", None, [stored])
    assert part.end == end + written_meanwhile


def test_a_log_that_ends_before_it_halts() -> None:
    broker, part = Broker(20), Part(TP, "orders/2")
    assert claims(broker, 22, 0).claim_due([part]) == []
    assert part.halt.startswith("the log ends at 20, before 22")
    assert (part.cut, broker.sought) == (22, [])
