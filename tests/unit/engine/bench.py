"""An engine on a real SQLite file without its thread: the test runs each transaction and can simulate a crash."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from retrainer.config.models import Rules
from retrainer.engine.core.catalog import Catalog, build_catalog
from retrainer.engine.core.engine import Engine, _Act, _Offer
from retrainer.engine.runs.run_gateway import EngineRunGateway
from retrainer.simulate.world import ManualClock, NullListener
from retrainer.sources.base import Batch
from retrainer.store import run_statements, statements
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.runs.run import Run
    from retrainer.store.base import Store


class Crash(BaseException):
    """Raised where the simulated process dies."""


class Hands:
    """A submitter that takes up to ``most`` runs when they are created. ``taken`` is lost when the process dies."""

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


class Bench:
    """`deliver` and `act` run one transaction each. `crash_at` ends the next one before or after its commit.

    ``build`` opens a store other than a SQLite file, in the state that a dead process left it in.
    ``configuration`` is a loaded configuration that replaces ``rules`` and ``pools``.
    """

    def __init__(
        self,
        path: Path,
        rules: list[dict[str, Any]],
        now: float,
        pools: dict[str, int] | None = None,
        room: int = 0,
        build: Callable[[Path], Store] = SqliteStore.open,
        configuration: Any = None,
    ) -> None:
        self.configuration: Any = configuration or _configuration(rules, pools or {}, "r")
        self.path, self.clock, self.crash_at = path, ManualClock(now), ""
        self.room, self._build = room, build
        self.boot()

    def boot(self) -> None:
        self.store = self._build(self.path)
        assert self.store.claim()
        with self.store.write() as conn:
            run_statements.expire_leases(conn)
        self.engine = Engine(self.store, self.clock, NullListener(), namespace="ml", max_queue=0)
        self.engine.act = self.act_later  # type: ignore[method-assign]
        self.hands = self.engine.dispatcher = Hands(self.room)
        self.gateway = EngineRunGateway(self.engine)
        catalog = build_catalog(self.configuration, self.store.read(statements.paused_rules))
        self.engine.switch(catalog)

    def edit(self, rules: list[dict[str, Any]]) -> list[Dropped]:
        """Load other rules; return the states that this dropped."""
        self.configuration = _configuration(rules, {}, self.configuration.revision + "'")
        return self.engine.switch(build_catalog(self.configuration, self.store.read(statements.paused_rules)))

    def budgets(self, budgets: dict[str, Any]) -> None:
        """Load shared budgets in addition to the rules."""
        parsed = Rules.model_validate({"version": 1, "budgets": budgets})
        self.configuration.budgets = parsed.budgets
        self.engine.switch(build_catalog(self.configuration, self.store.read(statements.paused_rules)))

    def restart(self, rules: list[dict[str, Any]] | None = None) -> None:
        """Restart the engine. ``rules`` replace the rules, as if they were edited while it was down."""
        if rules is not None:
            self.configuration = _configuration(rules, {}, self.configuration.revision + "'")
        self.store.close()
        self.boot()

    def act_later(self, run: Callable[[Any], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._transact([_Act(run, future)])
        return future

    def act(self, run: Callable[[Any], Any]) -> Any:
        return self.act_later(run).result()

    def deliver(self, events: list[Event], **more: Any) -> list[str]:
        """Deliver one batch; return the outcomes. ``more`` are further fields of the batch."""
        (outcomes,) = self.deliver_all([Batch("push", events, **more)])
        return outcomes

    def deliver_all(self, batches: list[Batch]) -> list[list[str]]:
        """Deliver several batches in one transaction; return the outcomes of each."""
        return [list(future.result().outcomes) for future in self.offer_all(batches)]

    def offer_all(self, batches: list[Batch]) -> list[Future[Any]]:
        """Offer several batches in one transaction; return their futures. A batch may have been refused."""
        futures: list[Future[Any]] = [Future() for _ in batches]
        self._transact([_Offer(batch, future, self.clock.time) for batch, future in zip(batches, futures, strict=True)])
        return futures

    def both(self, act: Callable[[], Any], events: list[Event]) -> None:
        """Run a run gateway call and, after it in the same transaction, a batch of events."""
        later: list[Any] = []

        def catch(run: Callable[[Any], Any]) -> Future[Any]:
            later.append(_Act(run, Future()))
            done: Future[Any] = Future()
            done.set_result(None)
            return done

        self.engine.act = catch  # type: ignore[method-assign]
        act()
        self.engine.act = self.act_later  # type: ignore[method-assign]
        self._transact([*later, _Offer(Batch("push", events), Future(), self.clock.time)])

    def tick(self, seconds: float) -> None:
        """Advance the clock, and wake the engine whenever it is due."""
        end, still = self.clock.time + seconds, 0
        while (wake := self.engine.next_wake) is not None and wake <= end:
            still = still + 1 if wake <= self.clock.time else 0
            assert still < 1000, "the engine wants to be woken again and again"
            self.clock.time = max(self.clock.time, wake)
            self._transact([])
        self.clock.time = end

    def _transact(self, drained: list[Any]) -> None:
        crash, self.crash_at = self.crash_at, ""
        if crash == "before":
            self._die_before_commit(drained)
        self.engine._commit(drained)
        if crash == "after":
            raise Crash

    def _die_before_commit(self, drained: list[Any]) -> None:
        """Fold and write everything, then raise `Crash` instead of committing."""
        with self.store.write() as conn:
            queued = [item.batch if isinstance(item, _Offer) else item.run for item in drained]
            self.engine._transactions.fold(conn, queued, careful=False)
            raise Crash

    def engine_work(self, conn: Any) -> Transaction:
        return self.engine._transactions.tx(conn)

    def query(self, sql: str) -> list[Any]:
        return self.store.read(lambda conn: list(conn.exec_driver_sql(sql)))


def configured(rules: list[dict[str, Any]]) -> Catalog:
    """The catalog of these rules, with the sources `push` and `topic`."""
    return build_catalog(_configuration(rules, {}, "r"), set())


def _configuration(rules: list[dict[str, Any]], pools: dict[str, int], revision: str) -> Any:
    sources = {name: {"type": "webhook", "path": f"/hooks/{name}"} for name in ("push", "topic")}
    parsed = Rules.model_validate({"version": 1, "sources": sources, "pools": pools, "rules": rules})
    return SimpleNamespace(
        rules=parsed.rules,
        calendars=parsed.calendars,
        pools=parsed.pools,
        budgets=parsed.budgets,
        revision=revision,
        rule_revision=lambda _: revision,
    )
