"""An intake whose answers are set by the test, and a real web server."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette

from retrainer.event import Poison
from retrainer.sources.base import Batch, Overloaded, Query, Receipt
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.event import Event
    from retrainer.sources.webhook import Webhooks


class ScriptedIntake:
    """Stores events in memory immediately, unless it is set to hold, fail or be overloaded."""

    def __init__(self, stored: dict[str, str] | None = None) -> None:
        self.stored = dict(stored or {})
        self.questions: list[Query] = []
        self.batches: list[Batch] = []
        self.held: list[tuple[Batch, Future[Receipt]]] = []
        self.hold = False
        self.overloaded = 0
        self.failing = 0

    def offer(self, batch: Batch) -> Future[Receipt]:
        if self.overloaded:
            self.overloaded -= 1
            raise Overloaded(0.01)
        future: Future[Receipt] = Future()
        if self.failing:
            self.failing -= 1
            future.set_exception(OSError("disk full"))
        elif self.hold:
            self.held.append((batch, future))
        else:
            self.commit(batch, future)
        return future

    def commit(self, batch: Batch, future: Future[Receipt]) -> None:
        self.batches.append(batch)
        for key, fingerprint in batch.objects.items():
            self.stored.pop(key, None)
            if fingerprint is not None:
                self.stored[key] = fingerprint
        future.set_result(Receipt(["dead_lettered" if isinstance(item, Poison) else "matched" for item in batch.items]))

    def release(self) -> None:
        self.hold = False
        while self.held:
            self.commit(*self.held.pop(0))

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return {k: self.stored[k] for k in sorted(self.stored) if k > after and k.startswith(prefix)}

    def queries(self, source: str) -> list[Query]:
        return self.questions

    @property
    def items(self) -> list[Event | Poison]:
        return [item for batch in self.batches for item in batch.items]


class FixedClock:
    """`now` is set by the test; elapsed time is real."""

    def __init__(self, now: float) -> None:
        self.time = now
        self.set_by = 0.0
        """Seconds by which the machine's clock was changed since the start."""

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return self.time + self.set_by


@contextlib.contextmanager
def served(webhooks: Webhooks, port: int = 0) -> Iterator[int]:
    """Serve the route from a thread; yield the port."""
    app = Starlette(routes=[webhooks.route()])
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started, "the server listens")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
