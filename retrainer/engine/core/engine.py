"""The engine thread: drain the queue, commit one transaction, then acknowledge. It is the only writer."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from retrainer.engine.core.containment import Care
from retrainer.engine.core.queue import InputQueue, Queued, QueuedAct, QueuedBatch
from retrainer.engine.core.transactions import Done, TransactionRunner
from retrainer.engine.intake import partitions
from retrainer.sources.base import OBJECTS, Batch, Claimed, Overloaded, Query, Receipt
from retrainer.store import event_statements, run_statements, statements
from retrainer.store.base import CommitUnknownError, Store, StoreBusyError, StoreError
from retrainer.store.faults import of_whole
from retrainer.util.error_text import words
from retrainer.util.failpoints import hit
from retrainer.util.supervision import LONGEST_WAIT, Worker, beat, clamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.notifications import EngineListener
    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.runs.run_defaults import RunDefaults
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.util.clock import Clock

T = TypeVar("T")
log = structlog.get_logger()

RETRY_AFTER = 1.0
FAILING_AFTER = 30.0
"""Seconds for which every transaction must fail before the daemon is reported as unhealthy."""
LAST_TRIES = 5.0
"""Seconds for which writes to an unavailable store are retried during shutdown."""
ROOM_AFTER = 0.1
"""Seconds until a full queue should have room again: about two transactions."""


class Engine:
    """The only writer. `offer` and `act` may be called from any thread; their futures resolve after the commit.

    `start` starts a separate thread. After `drive`, the caller's thread is used instead: each `act` runs a transaction
    immediately, with all batches offered before. Time then passes only as ``clock`` reports.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        listener: EngineListener,
        run_defaults: RunDefaults,
        *,
        max_queue: int,
        care: Care = Care.WHEN_NEEDED,
    ) -> None:
        self.store = store
        self.clock = clock
        self.trouble = ""
        """Why the store cannot be written now; empty if it can."""
        self.standby = ""
        """Why the engine accepts no input, on a standby; empty once this replica leads and has loaded its rules."""
        self.on_admitted: Callable[[], None] = lambda: None
        self.on_stop_requested: Callable[[], None] = lambda: None
        self.transactions = TransactionRunner(clock, run_defaults, store.read(statements.counters))
        self._listener, self._care = listener, care
        self._queue: InputQueue[Queued] = InputQueue(max_queue)
        self._stopping = False
        self._try_until: float | None = None
        self._given_up: StoreBusyError | None = None
        self._driven = False
        self._unsure: tuple[Done, list[Queued]] | None = None
        """Result and input of the last transaction, while it is unknown whether it was committed."""
        self.failing_since: float | None = None
        """Monotonic time since which every transaction has failed, for another reason than the store; else None."""
        self.thread = Worker("engine", self._main, lambda: self._stopping)

    # -- from other threads ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._begin()
        self.thread.start()

    def drive(self) -> None:
        """Use the caller's thread as the engine thread, instead of `start`."""
        self._begin()
        self._driven = True
        self.transactions.timed = False

    def _begin(self) -> None:
        self.transactions.counters = self.store.read(statements.counters)
        if self.store.undisputed:  # else the previous leader may still submit runs that it claimed
            with self.store.write() as conn:
                run_statements.expire_leases(conn)

    def turn(self) -> None:
        """Run one transaction with everything queued and due now. Raise its error. For use after `drive`."""
        self.act(lambda _: None).result()

    @property
    def next_wake(self) -> float | None:
        """When the next transaction is due without input, in epoch seconds; None for never."""
        return self.transactions.next_wake

    @property
    def failing(self) -> str:
        """A message if every transaction has failed for `FAILING_AFTER` for a reason other than the store, or empty."""
        since = self.failing_since
        seconds = 0.0 if since is None else self.clock.monotonic() - since
        if seconds < FAILING_AFTER:
            return ""
        return f"the engine: every transaction has failed for {seconds:.0f} s, the log says why (engine.failed)"

    @property
    def catalog(self) -> Catalog:
        """The rules as of the last transaction that was committed."""
        return self.transactions.catalog

    @catalog.setter
    def catalog(self, catalog: Catalog) -> None:
        """Set the rules of a standby, which only reads them."""
        self.transactions.catalog = catalog

    def hurry(self) -> None:
        """Prepare for shutdown: from now on retry writes for at most `LAST_TRIES`, so that callers do not block."""
        with self._queue.condition:
            self._try_until = self.clock.monotonic() + LAST_TRIES
            self._queue.condition.notify()

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Process the queue, then end the thread. After ``within`` seconds it is left behind, still alive."""
        with self._queue.condition:
            self._stopping = True
            self._queue.condition.notify()
        self.thread.join(within)

    def offer(self, batch: Batch) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        with self._queue.condition:
            if self.standby:
                raise Overloaded(RETRY_AFTER)
            if self._stopping or not self._queue.has_room(len(batch.items)):
                raise Overloaded(ROOM_AFTER)
            self._queue.add(QueuedBatch(batch, future, self.clock.monotonic()))
        return future

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return self.store.read(lambda conn: event_statements.objects(conn, source, after, prefix, OBJECTS))

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        return self.store.read(lambda conn: event_statements.objects_told(conn, source, keys))

    def claim(self, source: str, part: str, topic_id: str, start: int | None = None) -> Claimed:
        return self.act(lambda tx: partitions.claim(tx.conn, source, part, topic_id, start)).result()

    def readers(self, _source: str, reader: str) -> Sequence[str]:
        return (reader,)  # for several replicas, `IntakeRouter` reads the store

    def leave(self, source: str, reader: str) -> None:
        """Nothing to do: there is no other reader to take its partitions."""

    def queries(self, source: str) -> Collection[Query]:
        """See `Intake.queries`. Queries whose last answer is still being folded into many keys are left out."""
        try:
            busy = self.store.read(statements.fanning_triggers)
        except StoreError:
            raise Overloaded(RETRY_AFTER) from None
        wanted = self.catalog.queries(source, busy)
        if left_out := len(self.catalog.queries(source)) - len(wanted):
            log.warning("poll.left_out", source=source, expressions=left_out, why="their last answers are being folded")
        return wanted

    def parts(self, source: str) -> dict[str, int]:
        try:
            return self.store.read(lambda conn: partitions.known(conn, source))
        except StoreError:
            raise Overloaded(RETRY_AFTER) from None

    def act(self, run: Callable[[Transaction], T]) -> Future[T]:
        """Queue a function for the next transaction. It must not raise after it has staged something."""
        future: Future[T] = Future()
        with self._queue.condition:
            if self.standby and not self.thread.is_alive():
                raise StoreBusyError(self.standby)
            if self._stopping and not self.thread.is_alive():
                raise RuntimeError("the engine has stopped")
            self._queue.add(QueuedAct(run, future))
        while self._driven and not future.done() and (drained := self._drain()):
            self._commit(drained)
        return future

    @property
    def queued(self) -> int:
        """Number of events that are queued or being processed."""
        return self._queue.events

    # -- the thread ------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        while (drained := self._drain()) is not None:
            self._commit(drained)

    def _drain(self) -> list[Queued] | None:
        """Wait for input or the next wake-up, and return what is queued. Return None once stopped."""
        while True:
            wake = self.next_wake if self._given_up is None else None
            left = None if wake is None else max(wake - self.clock.now(), 0.0)
            beat(step := clamp(left))  # without the lock: `offer` waits for it
            with self._queue.condition:
                if not self._queue and self._stopping:
                    return None
                if self._queue or left == 0.0:
                    return self._queue.next_batch()
                self._queue.condition.wait(step)

    def _commit(self, drained: list[Queued]) -> None:
        """Commit all of it in one transaction. While the store is busy, acknowledge nothing and retry."""
        while True:
            beat()
            if self._given_up is not None:
                self._queue.refuse(drained, self._given_up)
                return
            try:
                done = self._transact(drained)
                break
            except StoreBusyError as error:
                self._troubled(str(error))
                self._wait_or_give_up(error)
            except Exception as error:
                if isinstance(error, StoreError):
                    self._troubled(str(error))
                elif self._care is not Care.NEVER:
                    log.exception("engine.failed")
                    self.failing_since = self.failing_since or self.clock.monotonic()
                self._queue.refuse(drained, error)
                self.transactions.next_wake = self.clock.now() + RETRY_AFTER
                return
        hit("after-commit")
        tx, began = done.tx, done.began
        if done.leased:
            self.transactions.dispatcher.take(done.leased, began)
        self.trouble, self.failing_since = "", None
        results = self._queue.put_back(drained, done.results)
        drained = drained[: len(results)]
        self._queue.acknowledge(drained, results)
        hit("after-acknowledge")
        offers = [began - item.at for item in drained if isinstance(item, QueuedBatch)]
        if tx.writes.admitted:
            self.on_admitted()
        if tx.stops:
            self.on_stop_requested()
        self._report(tx, self.clock.monotonic() - began, offers)

    def _wait_or_give_up(self, error: StoreBusyError) -> None:
        """Wait before a retry. During shutdown give up: input that was not acknowledged is delivered again."""
        with self._queue.condition:
            last = self._try_until is not None and self.clock.monotonic() >= self._try_until
            if self._stopping or last:
                self._given_up = error
            else:
                self._queue.condition.wait(RETRY_AFTER)

    def _report(self, tx: Transaction, seconds: float, waited: Sequence[float]) -> None:
        """Notify the listener. Its errors are only logged, as the transaction is committed and acknowledged."""
        try:
            self._listener.committed(seconds, waited, self._queue.events)
            for notification in tx.writes.notifications:
                self._listener.emitted(notification, tx.now)
        except Exception:
            log.exception("listener.failed")

    def _troubled(self, message: str) -> None:
        if not self.trouble:
            log.error("store.busy", error=message)
        self.trouble = message

    def _transact(self, drained: list[Queued]) -> Done:
        """Fold and commit. If the result of the last commit is unknown, determine it first."""
        if self._unsure is not None:
            (done, of), committed = self._unsure, self.store.settle()
            self._unsure = None
            if committed:
                self.transactions.take_over(done)
                if of is drained:
                    return done
        done = self._write(drained)
        self.transactions.take_over(done)
        return done

    def _write(self, drained: list[Queued]) -> Done:
        """Write without savepoints. If anything raises, write again with a savepoint for each unit of work."""
        queued = [item.batch if isinstance(item, QueuedBatch) else item.run for item in drained]
        careful = self._care is Care.ALWAYS
        while True:
            try:
                return self._write_once(drained, queued, careful=careful)
            except Exception as error:
                self.transactions.dispatcher.forget()
                self.transactions.failed()
                if careful or self._care is Care.NEVER or of_whole(error):
                    raise
                log.warning("engine.careful", error=words(error))
                careful = True

    def _write_once(
        self, drained: list[Queued], queued: Sequence[Batch | Callable[[Transaction], Any]], *, careful: bool
    ) -> Done:
        folded: list[Done] = []
        try:
            with self.store.write(lambda: self._announce(folded[0])) as conn:
                folded.append(self.transactions.fold(conn, queued, careful=careful))
                hit("before-commit")
        except CommitUnknownError:
            self._unsure = folded[0], drained
            raise
        return folded[0]

    def _announce(self, done: Done) -> None:
        """Announce leased runs. Nothing releases the GIL before the commit: requests are made while the disk syncs."""
        if done.leased:
            self.transactions.dispatcher.announce(done.leased, done.began)

    def switch(self, catalog: Catalog) -> list[Dropped]:
        """Switch to other rules, see `TransactionRunner.switch`, and accept input from then on."""
        dropped = self.act(lambda tx: self.transactions.switch(tx, catalog)).result()
        self.standby = ""
        return dropped
