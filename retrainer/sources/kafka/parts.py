"""The partitions that are ours, and how far each of them is."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kafka.consumer.subscription_state import ConsumerRebalanceListener

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    incarnation: str = ""
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


class Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    """Notes what the group gives and takes. It is called on the thread of the heartbeats, so it does no more than that.

    A partition that was given stands still at a position that means nothing until it is claimed: without one the
    consumer would look for a position by itself.
    """

    def __init__(self, consumer: KafkaConsumer) -> None:
        self._consumer = consumer
        self._news: deque[tuple[bool, frozenset[TopicPartition]]] = deque()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        for tp in assigned:
            park(self._consumer, tp)
        self._news.append((True, frozenset(assigned)))

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._news.append((False, frozenset(revoked)))

    def news(self) -> list[tuple[bool, frozenset[TopicPartition]]]:
        """Return what changed since it was asked last, in order: True for given, False for taken."""
        return [self._news.popleft() for _ in range(len(self._news))]


def park(consumer: KafkaConsumer, tp: TopicPartition) -> None:
    """Let a partition stand still; one that is not ours any more does so anyway."""
    try:
        consumer.pause(tp)
        consumer.seek(tp, 0)
    except (KeyError, ValueError):
        pass


def keep_joining(consumer: KafkaConsumer) -> None:
    """Have the next poll go on with a join that the last one had no time to end.

    kafka-python 3.0 forgets such a join if it was changed metadata (a topic or partitions that came) that asked for it:
    the member then stands there without partitions and heartbeats, for good and without an error.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - nothing public tells of it
    if coordinator is not None and coordinator._join_task is not None:  # noqa: SLF001
        coordinator.request_rejoin()
