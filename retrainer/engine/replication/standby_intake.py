"""Intake of a standby replica: batches of its sources are stored in the inbox and acknowledged."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from retrainer.engine.core.queue import InputQueue, QueuedBatch
from retrainer.engine.intake import partitions
from retrainer.engine.replication import inbox, readers
from retrainer.sources.base import OBJECTS, Batch, Claimed, Overloaded, PositionLost, Query, Receipt
from retrainer.store import event_statements
from retrainer.store.base import Store, StoreError
from retrainer.store.leader_lease import NOW
from retrainer.util.supervision import LONGEST_WAIT, TURN, Worker, beat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import TypeVar

    from retrainer.engine.core.catalog import Catalog
    from retrainer.util.clock import Clock

    T = TypeVar("T")

log = structlog.get_logger()

RETRY_AFTER = 1.0


class StandbyIntake:
    """An intake with its own thread that makes no decisions. ``catalog`` returns the current rules."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog], max_queue: int) -> None:
        self._store, self._clock, self._catalog = store, clock, catalog
        self._queue: InputQueue[QueuedBatch] = InputQueue(max_queue)
        self._full_until = 0.0
        self._stopping = False
        self._given_up: StoreError | None = None
        self._thread = Worker("standby-intake", self._main, lambda: self._stopping)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Store what is queued, then end. Wait at most ``within`` seconds."""
        with self._queue.condition:
            self._stopping = True
            self._queue.condition.notify()
        if self._thread.is_alive():
            self._thread.join(within)

    def offer(self, batch: Batch) -> Future[Receipt]:
        """See `retrainer.sources.base.Intake`; the outcome of each item is `accepted`."""
        future: Future[Receipt] = Future()
        with self._queue.condition:
            full = not self._queue.has_room(len(batch.items)) or self._clock.monotonic() < self._full_until
            if self._stopping or full:
                raise Overloaded(RETRY_AFTER)
            self._queue.add(QueuedBatch(batch, future, self._clock.monotonic()))
        return future

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return self._store.read(lambda conn: event_statements.objects(conn, source, after, prefix, OBJECTS))

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        return self._store.read(lambda conn: event_statements.objects_told(conn, source, keys))

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        with self._store.share() as conn:
            return partitions.claim(conn, source, part, topic_id, start)

    def readers(self, source: str, reader: str) -> Sequence[str]:
        with self._patient(), self._store.share() as conn:
            return readers.renew(conn, source, reader, conn.execute(select(NOW)).scalar_one())

    def leave(self, source: str, reader: str) -> None:
        with self._patient(), self._store.share() as conn:
            readers.leave(conn, source, reader)

    def queries(self, source: str) -> Collection[Query]:
        return self._catalog().queries(source)

    def parts(self, source: str) -> dict[str, int]:
        with self._patient():
            return self._store.read(lambda conn: partitions.known(conn, source))

    @contextmanager
    def _patient(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise Overloaded(RETRY_AFTER) from None

    def _main(self) -> None:
        while (drained := self._drain()) is not None:
            beat()
            self._put(drained)

    def _drain(self) -> list[QueuedBatch] | None:
        with self._queue.condition:
            while not self._queue:
                if self._stopping:
                    return None
                beat(TURN)
                self._queue.condition.wait(TURN)
            return self._queue.next_batch()

    def _put(self, drained: list[QueuedBatch]) -> None:
        """Store all offers in one transaction. If that fails, all are refused, and their sources offer them again."""
        try:
            outcomes, waiting = self._stored(drained)
        except Exception as error:
            if not isinstance(error, StoreError):
                log.exception("standby_intake.failed")
            elif self._stopping:
                self._given_up = error
            self._queue.refuse(drained, error)
            return
        if waiting >= inbox.MOST_ITEMS:
            self._full_until = self._clock.monotonic() + RETRY_AFTER
        self._queue.acknowledge(drained, outcomes)

    def _stored(self, drained: list[QueuedBatch]) -> tuple[list[list[str] | PositionLost], int]:
        """Return the outcome of each offer, and the number of items in the inbox."""
        if self._given_up is not None:
            raise self._given_up
        with self._store.share() as conn:
            return [inbox.put(conn, offer.batch) for offer in drained], inbox.waiting(conn)
