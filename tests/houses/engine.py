"""The two engines of the tests, on a real store: one whose transactions the test runs, and one with its thread."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.config.models import Rules
from retrainer.engine.core.catalog import Catalog, build_catalog
from retrainer.engine.core.containment import Care
from retrainer.engine.core.engine import Engine
from retrainer.engine.core.notifications import EventsTaken
from retrainer.engine.intake import partitions
from retrainer.engine.runs.run_defaults import RunDefaults
from retrainer.engine.runs.run_gateway import EngineRunGateway
from retrainer.simulate.world import ManualClock, NullListener
from retrainer.sources import registry
from retrainer.sources.base import Batch
from retrainer.store import run_statements, statements
from retrainer.store.sqlite import SqliteStore
from retrainer.util import failpoints
from retrainer.util.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from retrainer.engine.core.notifications import EngineListener, Notification
    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.runs.run import Run
    from retrainer.sources.base import Receipt, Source
    from retrainer.store.base import Store

T = TypeVar("T")
Crash = failpoints.Fault
"""Raised where the simulated process dies."""
WEBHOOKS: Mapping[str, Any] = {name: {"type": "webhook", "path": f"/hooks/{name}"} for name in ("push", "topic")}


def configuration(
    rules: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Any] = WEBHOOKS,
    pools: Mapping[str, int] | None = None,
    revision: str = "r",
) -> Any:
    """What is loaded from files with these rules, sources and pools."""
    parsed = Rules.model_validate({"version": 1, "sources": sources, "pools": pools or {}, "rules": list(rules)})
    return SimpleNamespace(
        rules=parsed.rules,
        sources=parsed.sources,
        calendars=parsed.calendars,
        pools=parsed.pools,
        budgets=parsed.budgets,
        revision=revision,
        rule_revision=lambda _: revision,
    )


def configured(rules: list[dict[str, Any]]) -> Catalog:
    """The catalog of these rules, with the sources `push` and `topic`."""
    return build_catalog(configuration(rules), set())


class TakingSubmitter:
    """Takes up to ``most`` runs when they are created. ``taken`` is lost when the process dies."""

    lease = 30.0

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken: list[Run] = []
        self.announced: list[Run] = []

    def room(self) -> int:
        return self.most

    def announce(self, runs: Sequence[Run], began: float) -> None:
        self.announced = list(runs)

    def forget(self) -> None:
        self.announced = []

    def take(self, runs: Sequence[Run], began: float) -> None:
        self.taken += runs


class SteppedEngine(Engine):
    """An engine without a thread: `act` calls ``step`` until it is done, or only queues while `gathering`."""

    step: Callable[[], None]
    gathering = False

    def act(self, run: Callable[[Transaction], T]) -> Future[T]:
        future = super().act(run)
        if self.gathering:
            return _resolved()
        while not future.done():
            self.step()
        return future

    def commit(self) -> None:
        """Run one transaction with everything that is queued and due now."""
        self._commit(self._queue.next_batch())

    def keys(self, conn: Connection, rule: str) -> int:
        """The number of keys of a rule, as the engine counts them against `max_keys`."""
        return self.transactions.cache.keys(conn, rule)


def _resolved() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


class DrivenEngine:
    """`deliver` and `act` run one transaction each. `crash_at` ends the next one before or after its commit.

    ``build`` opens a store other than a SQLite file, in the state that a dead process left it in.
    ``loaded`` is a loaded configuration that replaces ``rules`` and ``pools``.
    """

    def __init__(
        self,
        path: Path,
        rules: list[dict[str, Any]],
        now: float,
        pools: dict[str, int] | None = None,
        room: int = 0,
        build: Callable[[Path], Store] = SqliteStore.open,
        loaded: Any = None,
        clock: type[ManualClock] = ManualClock,
        care: Care = Care.WHEN_NEEDED,
        namespace: str = "ml",
    ) -> None:
        self.configuration: Any = loaded or configuration(rules, pools=pools)
        self.path, self.clock, self.crash_at = path, clock(now), ""
        self.room, self.care, self.namespace, self._build = room, care, namespace, build
        self.boot()

    def boot(self) -> None:
        self.store = self._build(self.path)
        assert self.store.claim()
        with self.store.write() as conn:
            run_statements.expire_leases(conn)
        self.engine = SteppedEngine(
            self.store, self.clock, NullListener(), RunDefaults(self.namespace), max_queue=0, care=self.care
        )
        self.engine.step = self.step
        self.submitter = self.engine.transactions.dispatcher = TakingSubmitter(self.room)
        self.gateway = EngineRunGateway(self.engine)
        self._switch()

    def _switch(self) -> list[Dropped]:
        return self.engine.switch(build_catalog(self.configuration, self.store.read(statements.paused_rules)))

    def edit(self, rules: list[dict[str, Any]]) -> list[Dropped]:
        """Load other rules; return the states that this dropped."""
        self.configuration = configuration(rules, revision=self.configuration.revision + "'")
        return self._switch()

    def budgets(self, budgets: dict[str, Any]) -> None:
        """Load shared budgets in addition to the rules."""
        parsed = Rules.model_validate({"version": 1, "budgets": budgets})
        self.configuration.budgets = parsed.budgets
        self._switch()

    def restart(self, rules: list[dict[str, Any]] | None = None) -> None:
        """Restart the engine. ``rules`` replace the rules, as if they were edited while it was down."""
        if rules is not None:
            self.configuration = configuration(rules, revision=self.configuration.revision + "'")
        self.store.release()  # another process would have to wait for the lease to expire
        self.store.close()
        self.boot()

    def close(self) -> None:
        self.store.close()

    def act(self, run: Callable[[Any], Any]) -> Any:
        return self.engine.act(run).result()

    def deliver(self, events: list[Event], **more: Any) -> list[str]:
        """Deliver one batch; return the outcomes. ``more`` are further fields of the batch."""
        (outcomes,) = self.deliver_all([Batch("push", events, **more)])
        return outcomes

    def deliver_all(self, batches: list[Batch]) -> list[list[str]]:
        """Deliver several batches in one transaction; return the outcomes of each."""
        return [list(future.result().outcomes) for future in self.offer_all(batches)]

    def offer_all(self, batches: list[Batch]) -> list[Future[Receipt]]:
        """Offer several batches in one transaction; return their futures. A batch may have been refused."""
        futures = [self.engine.offer(batch) for batch in batches]
        self.step()
        return futures

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Run everything that the context asks of the engine in one transaction, in order, when the context exits."""
        self.engine.gathering = True
        yield
        self.engine.gathering = False
        self.step()

    def tick(self, seconds: float) -> None:
        """Advance the clock, and wake the engine whenever it is due."""
        end, still = self.clock.time + seconds, 0
        while (wake := self.engine.next_wake) is not None and wake <= end:
            still = still + 1 if wake <= self.clock.time else 0
            assert still < 1000, "the engine wants to be woken again and again"
            self.clock.time = max(self.clock.time, wake)
            self.step()
        self.clock.time = end

    def step(self) -> None:
        """Run one transaction. A process that is to die in it does so at its end, if it does not reach a commit."""
        crash, self.crash_at = self.crash_at, ""
        if crash:
            failpoints.arm(f"{crash}-commit", "raise")
        try:
            self.engine.commit()
        finally:
            failpoints.disarm()
        if crash:
            raise Crash

    def query(self, sql: str) -> list[Any]:
        return self.store.read(lambda conn: list(conn.exec_driver_sql(sql)))


class CountingListener:
    """Counts events by outcome."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()

    def emitted(self, notification: Notification, now: float) -> None:
        if isinstance(notification, EventsTaken):
            self.outcomes[notification.outcome] += notification.count

    def committed(self, seconds: float, waited: Any, queued: int) -> None:
        pass


class RunningEngine:
    """An engine with its thread, and sources that deliver to it. `restart` drops the sources.

    ``path`` is the SQLite file of the store, unless ``build`` opens another one. Without ``leads`` it starts at `lead`.
    """

    def __init__(
        self,
        path: Path,
        max_queue: int = 1000,
        build: Callable[[Path], Store] = SqliteStore.open,
        listener: Callable[[], EngineListener] = CountingListener,
        *,
        leads: bool = True,
    ) -> None:
        self.path, self.max_queue, self._build, self._listen = path, max_queue, build, listener
        self.sources: list[Source] = []
        self.clock = SystemClock()
        self._open()
        if leads:
            self.lead()

    def _open(self) -> None:
        self.leads = False
        self.store = self._build(self.path)
        self.listener: Any = self._listen()
        self.engine = Engine(self.store, self.clock, self.listener, RunDefaults("ml"), max_queue=self.max_queue)

    def lead(self) -> None:
        assert self.store.claim()
        self.leads = True
        self.engine.start()

    def load(self, sources: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> Any:
        """Load ``sources`` and ``rules`` into the engine; return the configuration."""
        loaded = configuration(rules, sources)
        self.engine.switch(build_catalog(loaded, self.store.read(statements.paused_rules)))
        return loaded

    def source(self, name: str, settings: dict[str, Any], rules: Sequence[dict[str, Any]]) -> Source:
        """Load the rules, build the source and start it."""
        config = self.load({name: settings}, rules).sources[name]
        source = registry.build(name, config, self.engine, self.clock, self.path.parent)  # type: ignore[arg-type]
        self.sources.append(source)
        source.start()
        return source

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Block all commits: the engine's thread stays in one transaction until the context exits."""
        over = threading.Event()
        done = self.engine.act(lambda _: over.wait())
        try:
            yield
        finally:
            over.set()
            done.result()

    def stop_sources(self) -> None:
        while self.sources:
            self.sources.pop().stop()

    def restart(self) -> None:
        self.close()
        self._open()
        self.lead()

    def close(self) -> None:
        self.stop_sources()
        if self.leads:
            self.engine.stop()
            self.store.release()
        self.store.close()

    @property
    def outcomes(self) -> dict[str, int]:
        """The number of events by outcome since the engine was started."""
        return dict(self.listener.outcomes)

    def query(self, sql: str) -> list[Any]:
        return self.store.read(lambda conn: [tuple(row) for row in conn.exec_driver_sql(sql)])

    def events(self) -> list[tuple[str, str, str]]:
        """Type, subject and outcome of each event in the ledger, in order."""
        return self.query("SELECT type, subject, outcome FROM events ORDER BY seq")

    def counted(self) -> list[tuple[str, str]]:
        """Rule and subject of each counted input, in order. An input that was counted twice is listed twice."""
        joined = "inputs JOIN states ON states.id = inputs.state JOIN events ON events.seq = inputs.seq"
        return self.query(f"SELECT states.rule, events.subject FROM {joined} ORDER BY inputs.seq, states.rule")

    def errors(self) -> list[str]:
        """The error of each dead letter, in order."""
        return [error for (error,) in self.query("SELECT error FROM dead_letters ORDER BY id")]


def reset_part(engine: Engine, source: str, part: str, topic_id: str, following: int) -> None:
    """Move a position, as an operator does."""
    engine.act(lambda tx: partitions.reset(tx.conn, source, part, topic_id, following)).result()
