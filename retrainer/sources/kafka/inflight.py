"""Batches on their way to the store: several at once, bounded, settled in order."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.sources.base import Batch, Intake, Overloaded, Receipt

if TYPE_CHECKING:
    from retrainer.sources.kafka.partitions import Part
    from retrainer.util.clock import Clock

MOST_ITEMS = 2000
"""If more items than this are in flight, nothing further is read. The records of one poll come on top."""
MOST_BYTES = 12 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class InflightBatch:
    """A batch of one partition, claimed with `epoch`; ``size`` is in bytes."""

    part: Part
    epoch: int
    batch: Batch
    size: int

    @property
    def valid(self) -> bool:
        """Whether the partition is still held by the same claim."""
        return self.part.epoch == self.epoch


class Inflight:
    """``_waiting``: batches for which the engine had no room, in the order in which they were read."""

    def __init__(self, intake: Intake, clock: Clock) -> None:
        self._intake, self._clock = intake, clock
        self._waiting: deque[InflightBatch] = deque()
        self._under_way: deque[tuple[InflightBatch, Future[Receipt]]] = deque()
        self._items = 0
        self._bytes = 0
        self._retry_at = 0.0

    @property
    def full(self) -> bool:
        return bool(self._waiting) or self._items > MOST_ITEMS or self._bytes > MOST_BYTES

    @property
    def empty(self) -> bool:
        return not self._waiting and not self._under_way

    def put(self, inflight_batch: InflightBatch) -> None:
        self._waiting.append(inflight_batch)
        self.push()

    def push(self) -> None:
        """Offer waiting batches to the engine while it has room."""
        while self._waiting and self._clock.monotonic() >= self._retry_at:
            inflight_batch = self._waiting[0]
            if inflight_batch.valid:
                try:
                    future = self._intake.offer(inflight_batch.batch)
                except Overloaded as error:
                    self._retry_at = self._clock.monotonic() + error.retry_after
                    return
                self._under_way.append((inflight_batch, future))
                self._items += len(inflight_batch.batch.items)
                self._bytes += inflight_batch.size
            self._waiting.popleft()

    def settled(self) -> list[tuple[InflightBatch, BaseException | None]]:
        """Remove and return the settled batches, oldest first, each with its error or None."""
        ended = []
        while self._under_way and self._under_way[0][1].done():
            inflight_batch, future = self._under_way.popleft()
            self._items -= len(inflight_batch.batch.items)
            self._bytes -= inflight_batch.size
            ended.append((inflight_batch, future.exception()))
        return ended

    def drop_waiting(self) -> None:
        """Drop batches that were not offered yet; they will be read again."""
        self._waiting.clear()

    def wait(self, seconds: float) -> None:
        """Wait at most ``seconds`` until the oldest batch is settled or there may be room again."""
        if self._under_way:
            wait((self._under_way[0][1],), timeout=seconds)
        else:
            threading.Event().wait(min(seconds, max(0.0, self._retry_at - self._clock.monotonic())))

    def carries(self, part: Part) -> bool:
        return any(inflight_batch.part is part for inflight_batch, _ in self._under_way) or any(
            c.part is part for c in self._waiting
        )
