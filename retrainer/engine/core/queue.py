"""Input that waits for a transaction: batches of events, and acts."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from retrainer.engine.intake.events import Unfinished
from retrainer.sources.base import Batch, Receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from retrainer.engine.core.transaction import Transaction

BATCH = 2000
"""Approximate maximum number of events in one transaction."""


@dataclass(frozen=True, slots=True)
class QueuedAct:
    """A function to be called in a transaction, and the future of its result."""

    run: Callable[[Transaction], Any]
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class QueuedBatch:
    """``at`` is on the monotonic clock. ``outcomes`` are those of the items that earlier transactions committed."""

    batch: Batch
    future: Future[Receipt]
    at: float
    outcomes: Sequence[str] = ()


Queued = QueuedAct | QueuedBatch
Q = TypeVar("Q", bound=Queued)


class InputQueue(Generic[Q]):
    """Filled by any thread, emptied by one. ``max_events`` limits the events that wait; 0 for no limit."""

    def __init__(self, max_events: int) -> None:
        self.condition = threading.Condition()
        """Its lock guards the queue. It is notified of new input."""
        self.events = 0
        """Number of events that are queued or being processed."""
        self._max_events = max_events
        self._items: deque[Q] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def has_room(self, events: int) -> bool:
        """Whether to accept this many events. An empty queue accepts any number. The caller must hold the lock."""
        return not self.events or not self._max_events or self.events + events <= self._max_events

    def add(self, item: Q) -> None:
        """Append to the queue. The caller must hold the lock."""
        self.events += _events([item])
        self._items.append(item)
        self.condition.notify()

    def next_batch(self) -> list[Q]:
        """Take the input of one transaction off the queue. The caller must hold the lock."""
        drained: list[Q] = []
        size = 0
        while self._items and size < BATCH:
            item = self._items.popleft()
            size += len(item.batch.items) if isinstance(item, QueuedBatch) else 1
            drained.append(item)
        return drained

    def put_back(self, drained: Sequence[Q], results: list[Any]) -> list[Any]:
        """Put unprocessed input back at the front of the queue. Return the results of the input that is complete."""
        with self.condition:
            self._items.extendleft(reversed(drained[len(results) :]))
            if results and isinstance(results[-1], Unfinished):
                *results, unfinished = results
                self.events -= len(unfinished.outcomes)
                self._queue_behind_others(drained[len(results)], unfinished)
        return results

    def _queue_behind_others(self, item: Q, unfinished: Unfinished) -> None:
        """Queue the rest of a batch behind acts and other sources' batches, and before later batches of its source."""
        assert isinstance(item, QueuedBatch)  # noqa: S101 - for the type checker: only batches can be unfinished
        source = unfinished.rest.source
        rest = replace(item, batch=unfinished.rest, outcomes=[*item.outcomes, *unfinished.outcomes])
        behind = [each for each in self._items if isinstance(each, QueuedBatch) and each.batch.source == source]
        others = [each for each in self._items if not isinstance(each, QueuedBatch) or each.batch.source != source]
        self._items = deque((*others, rest, *behind))

    def acknowledge(self, drained: Sequence[Q], results: Sequence[Any]) -> None:
        """Complete the futures of committed input. A result that is an exception is raised for the caller."""
        self._forget(drained)
        for item, result in zip(drained, results, strict=True):
            if isinstance(result, Exception):
                item.future.set_exception(result)
            elif isinstance(item, QueuedBatch):
                item.future.set_result(Receipt([*item.outcomes, *result]))
            else:
                item.future.set_result(result)

    def refuse(self, drained: Sequence[Q], error: Exception) -> None:
        """Raise ``error`` for the callers of input that was not committed."""
        self._forget(drained)
        for item in drained:
            item.future.set_exception(error)

    def _forget(self, drained: Sequence[Q]) -> None:
        with self.condition:
            self.events -= _events(drained)


def _events(items: Sequence[Queued]) -> int:
    return sum(len(item.batch.items) for item in items if isinstance(item, QueuedBatch))
