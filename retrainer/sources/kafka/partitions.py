"""The state of each assigned partition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition


def part_name(tp: TopicPartition) -> str:
    """Return the name of a partition in the store and for users."""
    return f"{tp.topic}/{tp.partition}"


@dataclass(slots=True, eq=False)
class Part:
    """One partition. It is read while it is claimed and not halted.

    ``epoch``: of the claim, None without one. ``read``: the first position that was not offered yet. ``stored``: the
    first position that is not stored, None if not known yet. ``end``: the end of the log. ``due``: when to try to claim
    it, on the monotonic clock; ``waits``: why the last attempt failed. ``halt``: why it must not be read, "" if nothing
    is wrong. ``cut``: the stored position at which the log was found to have lost records that were read.
    """

    tp: TopicPartition
    name: str
    epoch: int | None = None
    topic_id: str = ""
    read: int = 0
    stored: int | None = None
    end: int = 0
    due: float = 0.0
    waits: str = ""
    halt: str = ""
    cut: int | None = None

    @property
    def lag(self) -> int:
        return max(0, self.end - self.stored) if self.stored is not None else 0


def park(consumer: KafkaConsumer, tp: TopicPartition) -> None:
    """Pause a partition; do nothing if it is no longer assigned.

    Without a position the consumer would look one up by itself, so it gets position 0.
    """
    try:
        consumer.pause(tp)
        consumer.seek(tp, 0)
    except (KeyError, ValueError):
        pass
