"""The partitions that are ours, and how far each of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kafka import KafkaConsumer, TopicPartition


def part_name(tp: TopicPartition) -> str:
    """How the store and people call a partition."""
    return f"{tp.topic}/{tp.partition}"


@dataclass(slots=True, eq=False)
class Part:
    """One partition. It is read while it is claimed and not halted.

    ``epoch`` is the claim's, None without one. ``read`` is the first position that was not handed over yet, ``stored``
    the first that the store does not have, None until it is known; ``end`` is where the log ends. ``due``: when to try
    to claim it, on the monotonic clock, and ``waits`` why that did not go. ``halt`` says why nobody may read it, "" if
    nothing is wrong; ``cut`` is the stored position that stands for a log that lost what was read.
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
    """Let a partition stand still; one that is not ours any more does so anyway.

    Without a position of its own the consumer would look for one by itself.
    """
    try:
        consumer.pause(tp)
        consumer.seek(tp, 0)
    except (KeyError, ValueError):
        pass
