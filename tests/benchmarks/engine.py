"""The engine as the daemon builds it, in this process: with its thread, a SQLite file and the daemon's listener."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
from prometheus_client import CollectorRegistry

from retrainer.daemon.commit_listener import CommitListener
from retrainer.event import Event
from retrainer.sources.base import Batch, Overloaded, Receipt
from retrainer.telemetry import logs
from retrainer.telemetry.metrics import Metrics
from tests.benchmarks.load import NAME
from tests.benchmarks.records import MODELS, PARTITIONS, record
from tests.houses.engine import RunningEngine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from retrainer.engine.core.engine import Engine

EVENTS_A_BATCH = 500
QUEUE = 5000
SOURCE = {"type": "kafka", "bootstrap_servers": ["127.0.0.1:1"], "topics": ["t"], "group_id": "g"}


class FullQueue:
    """``engine`` with the listener of a daemon."""

    def __init__(self, engine: Engine, listener: CommitListener) -> None:
        self.engine, self.listener = engine, listener

    def offer_all(self, batches: Sequence[Batch]) -> None:
        """Offer the batches in order as fast as they are accepted; return once all are durable."""
        offered = [self._offer(batch) for batch in batches]
        for each in offered:
            each.result()

    def _offer(self, batch: Batch) -> Future[Receipt]:
        while True:
            try:
                return self.engine.offer(batch)
            except Overloaded:
                time.sleep(0.002)  # not retry_after: the queue must stay full


@contextmanager
def an_engine(folder: Path, rules: list[dict[str, Any]]) -> Iterator[FullQueue]:
    logs.configure("info", json=None)
    metrics = Metrics(CollectorRegistry())
    house = RunningEngine(folder / "retrainer.db", QUEUE, listener=lambda: CommitListener(metrics))
    house.load({NAME: SOURCE}, rules)
    try:
        yield FullQueue(house.engine, house.listener)
    finally:
        house.close()


def events_like_records(count: int, models: int = MODELS) -> list[Batch]:
    """Events as a Kafka source offers them, built in advance."""
    return [_batch(range(at, min(at + EVENTS_A_BATCH, count)), models) for at in range(0, count, EVENTS_A_BATCH)]


def _batch(numbers: range, models: int) -> Batch:
    return Batch(NAME, [_event(n, models) for n in numbers], identity_window=0)


def _event(n: int, models: int) -> Event:
    place = {"topic": "t", "partition": n % PARTITIONS, "offset": n // PARTITIONS, "timestamp": 1_790_000_000 + n}
    data = orjson.loads(record(n, models))
    where = f"t/{place['partition']}/{place['offset']}"
    return Event(NAME, where, "json", 1_790_000_000.0 + n, data, attributes=place)
