"""Intake of a standby replica: batches of its sources are stored in the inbox and acknowledged."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import select

from retrainer.engine.intake import partitions
from retrainer.engine.replication import inbox, readers
from retrainer.sources.base import OBJECTS, Batch, Overloaded, PositionLost, Receipt
from retrainer.store import event_statements
from retrainer.store.base import StoreError
from retrainer.store.leader_lease import NOW
from retrainer.util.supervision import LONGEST_WAIT, TURN, Worker, beat

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import TypeVar

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.sources.base import Claimed, Query
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

    T = TypeVar("T")

log = structlog.get_logger()

MOST = 2000
"""Approximate maximum of items per transaction."""
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class _Offer:
    batch: Batch
    future: Future[Receipt]


class StandbyIntake:
    """An intake with its own thread that makes no decisions. ``catalog`` returns the current rules."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog], max_queue: int) -> None:
        self._store, self._clock, self._catalog, self._max_queue = store, clock, catalog, max_queue
        self._queue: deque[_Offer] = deque()
        self._queued = 0
        self._full_until = 0.0
        self._wanted = threading.Condition()
        self._stopping = False
        self._given_up: StoreError | None = None
        self._thread = Worker("standby-intake", self._main, lambda: self._stopping)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Store what is queued, then end. Wait at most ``within`` seconds."""
        with self._wanted:
            self._stopping = True
            self._wanted.notify()
        if self._thread.is_alive():
            self._thread.join(within)

    def offer(self, batch: Batch) -> Future[Receipt]:
        """See `retrainer.sources.base.Intake`; the outcome of each item is `accepted`."""
        future: Future[Receipt] = Future()
        with self._wanted:
            crowded = self._queued + len(batch.items) > self._max_queue > 0 and self._queued > 0
            if self._stopping or crowded or self._clock.monotonic() < self._full_until:
                raise Overloaded(RETRY_AFTER)
            self._queued += len(batch.items)
            self._queue.append(_Offer(batch, future))
            self._wanted.notify()
        return future

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return self._store.read(lambda conn: event_statements.objects(conn, source, after, prefix, OBJECTS))

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        return self._store.read(lambda conn: event_statements.objects_told(conn, source, keys))

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        return self._transact(lambda conn: partitions.claim(conn, source, part, topic_id, start))

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

    def _transact(self, fn: Callable[[Connection], T]) -> T:
        with self._store.share() as conn:
            return fn(conn)

    def _main(self) -> None:
        while (drained := self._drain()) is not None:
            beat()
            self._put(drained)

    def _drain(self) -> list[_Offer] | None:
        with self._wanted:
            while not self._queue:
                if self._stopping:
                    return None
                beat(TURN)
                self._wanted.wait(TURN)
            drained: list[_Offer] = []
            items = 0
            while self._queue and items < MOST:
                drained.append(self._queue.popleft())
                items += len(drained[-1].batch.items)
            self._queued -= items
            return drained

    def _put(self, drained: list[_Offer]) -> None:
        """Store all offers in one transaction. If that fails, all are refused, and their sources offer them again."""
        try:
            emitted, waiting = self._stored(drained)
        except Exception as error:
            if not isinstance(error, StoreError):
                log.exception("standby_intake.failed")
            elif self._stopping:
                self._given_up = error
            for offer in drained:
                offer.future.set_exception(error)
            return
        if waiting >= inbox.MOST_ITEMS:
            self._full_until = self._clock.monotonic() + RETRY_AFTER
        for offer, outcome in zip(drained, emitted, strict=True):
            if isinstance(outcome, PositionLost):
                offer.future.set_exception(outcome)
            else:
                offer.future.set_result(Receipt(outcome))

    def _stored(self, drained: list[_Offer]) -> tuple[list[list[str] | PositionLost], int]:
        """Return the outcome of each offer, and the number of items in the inbox."""
        if self._given_up is not None:
            raise self._given_up
        return self._transact(lambda conn: ([inbox.put(conn, offer.batch) for offer in drained], inbox.waiting(conn)))
