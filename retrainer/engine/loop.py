"""The engine's thread: drains what is queued, commits once, then acknowledges. Nobody else writes."""

from __future__ import annotations

import threading
from collections import ChainMap, deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import structlog

from retrainer.crash import reach
from retrainer.engine import budgets, editing, parts
from retrainer.engine.births import Birthplace, new_run_id
from retrainer.engine.cache import Cache
from retrainer.engine.catalog import EMPTY, Catalog
from retrainer.engine.handover import Nobody, hand_over
from retrainer.engine.intake import take_in
from retrainer.engine.work import Work
from retrainer.rules.admit import Means, Waiting, admit
from retrainer.rules.outcome import Reason, SlotDue, SlotRecord, Wake
from retrainer.sources.base import OBJECTS, Batch, Overloaded, Receipt
from retrainer.store import tables as t
from retrainer.store import writes
from retrainer.store.base import CommitUnknownError, StoreBusyError, StoreError
from retrainer.store.faults import of_whole
from retrainer.supervisor import Worker, beat, clamp

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from sqlalchemy import Connection

    from retrainer.clock import Clock
    from retrainer.engine.births import NewId
    from retrainer.engine.handover import Taker
    from retrainer.rules.meaning import Dropped
    from retrainer.runs.run import Run
    from retrainer.sources.base import Claimed, Query
    from retrainer.store.base import Store

T = TypeVar("T")
log = structlog.get_logger()

BATCH = 2000
"""Events of one transaction, about."""
WAKES = 500
"""Wake-ups of one transaction, and keys of a fan-out."""
RETRY_AFTER = 1.0
LAST_TRIES = 5.0
"""Seconds for which a store that does not take writes is tried again once the daemon is about to end."""
ROOM_AFTER = 0.1
"""Seconds in which a full queue has room again: about two transactions."""


class Listener(Protocol):
    """Hears what was committed: metrics, the log."""

    def told(self, what: str, facts: dict[str, Any], now: float) -> None: ...

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None: ...


@dataclass(frozen=True, slots=True)
class _Act:
    run: Callable[[Work], Any]
    future: Future[Any]


@dataclass(frozen=True, slots=True)
class _Offer:
    batch: Batch
    future: Future[Receipt]
    at: float


@dataclass(frozen=True, slots=True)
class _Done:
    """What a transaction that ``began`` then came to; it counts once it is known to be committed."""

    work: Work
    results: list[Any]
    leased: list[Run]
    next_wake: float | None
    fanning: bool
    began: float


class Engine:
    """One writer. `offer` and `act` may be called from any thread; what they return ends after the commit.

    Either `start` gives it a thread of its own, or whoever calls `drive` is its thread: then each `act` is a
    transaction at once, with all that was offered before, and time passes only as the clock that was given says.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        listener: Listener,
        *,
        namespace: str,
        max_queue: int,
        manifest_uri: Callable[[str], str] = "".format,
        new_id: NewId = new_run_id,
    ) -> None:
        self.store = store
        self.clock = clock
        self.catalog: Catalog = EMPTY
        self.trouble = ""
        """Why the store cannot be written to for the moment; empty if it can."""
        self.standby = ""
        """Why it takes nothing in, where another daemon has the lead; empty once it knows its rules and does."""
        self.letters_limit = 1 << 62
        """Bytes that dead letters may take up."""
        self.taker: Taker = Nobody()
        self.on_admitted: Callable[[], None] = lambda: None
        self.on_stop_requested: Callable[[], None] = lambda: None
        self._listener = listener
        self._birthplace = Birthplace(namespace, manifest_uri, new_id)
        self._max_queue = max_queue
        self._cache = Cache()
        self._queue: deque[_Act | _Offer] = deque()
        self._queued_events = 0
        self._wanted = threading.Condition()
        self._stopping = False
        self._try_until: float | None = None
        self._given_up: StoreBusyError | None = None
        self._driven = False
        self._admission_due = True
        self._unsure: _Done | None = None
        """What the last transaction came to, while it is not known whether it was committed."""
        self._next_wake: float | None = None
        self._next_start: float | None = None
        self._fanning = True
        """Whether slots may still have to be spoken to keys."""
        self._heard: dict[str, float] = {}
        self._counters = store.read(writes.counters)
        self._polled: dict[tuple[str, str], set[str]] = {}
        self.thread = Worker("engine", self._main, lambda: self._stopping)

    # -- from other threads ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._begin()
        self.thread.start()

    def drive(self) -> None:
        """Instead of `start`: the caller's thread is the engine's."""
        self._begin()
        self._driven = True

    def _begin(self) -> None:
        self._counters = self.store.read(writes.counters)
        if self.store.undisputed:  # else whoever had the lead may still be about to send what it claimed
            with self.store.write() as conn:
                writes.expire_leases(conn)

    def turn(self) -> None:
        """One transaction, for whoever drives it: what is queued, and what is due now. Raise what made it fail."""
        self.act(lambda _: None).result()

    @property
    def next_wake(self) -> float | None:
        """When it wants to be woken if nothing comes, in seconds since the epoch; None for never."""
        return self._next_wake

    def hurry(self) -> None:
        """The daemon is about to end: while the store takes no writes, do not keep those waiting who wait for us."""
        with self._wanted:
            self._try_until = self.clock.monotonic() + LAST_TRIES
            self._wanted.notify()

    def stop(self) -> None:
        """Finish what is queued, then end."""
        with self._wanted:
            self._stopping = True
            self._wanted.notify()
        self.thread.join()

    def offer(self, batch: Batch) -> Future[Receipt]:
        future: Future[Receipt] = Future()
        with self._wanted:
            if self.standby:
                raise Overloaded(RETRY_AFTER)
            if self._stopping or (self._queued_events + len(batch.items) > self._max_queue > 0 and self._queued_events):
                raise Overloaded(ROOM_AFTER)
            self._queued_events += len(batch.items)
            self._queue.append(_Offer(batch, future, self.clock.monotonic()))
            self._wanted.notify()
        return future

    def objects(self, source: str, *, after: str = "", prefix: str = "") -> dict[str, str]:
        return self.store.read(lambda conn: writes.objects(conn, source, after, prefix, OBJECTS))

    def objects_told(self, source: str, keys: Sequence[str]) -> dict[str, tuple[str, float]]:
        return self.store.read(lambda conn: writes.objects_told(conn, source, keys))

    def claim(self, source: str, part: str, incarnation: str, start: int | None = None) -> Claimed:
        return self.act(lambda work: parts.claim(work.conn, source, part, incarnation, start)).result()

    def readers(self, _source: str, reader: str) -> Sequence[str]:
        return (reader,)  # where others may read too, the gate asks the store

    def leave(self, source: str, reader: str) -> None:
        """Nobody else is there to take its parts."""

    def queries(self, source: str) -> Collection[Query]:
        return self.catalog.queries(source)

    def parts(self, source: str) -> dict[str, int]:
        try:
            return self.store.read(lambda conn: parts.known(conn, source))
        except StoreError:
            raise Overloaded(RETRY_AFTER) from None

    def reset_part(self, source: str, part: str, incarnation: str, following: int) -> None:
        """Go on with a part from `following`, whatever stood in the store; raise LookupError if it is not known."""
        self.act(lambda work: parts.reset(work.conn, source, part, incarnation, following)).result()

    def act(self, run: Callable[[Work], T]) -> Future[T]:
        """Queue a piece of work for the engine's transaction; it must raise before it stages anything, or never."""
        future: Future[T] = Future()
        with self._wanted:
            if self.standby and not self.thread.is_alive():
                raise StoreBusyError(self.standby)
            if self._stopping and not self.thread.is_alive():
                raise RuntimeError("the engine has stopped")
            self._queue.append(_Act(run, future))
            self._wanted.notify()
        while self._driven and not future.done() and (drained := self._drain()):
            self._commit(drained)
        return future

    @property
    def queued(self) -> int:
        return self._queued_events

    # -- the thread ------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        while True:
            drained = self._drain()
            if drained is None:
                return
            self._commit(drained)

    def _drain(self) -> list[_Act | _Offer] | None:
        """What is queued, as soon as there is something or the next wake-up is due; None at the end."""
        with self._wanted:
            while not self._queue:
                if self._stopping:
                    return None
                wake = self._next_wake if self._given_up is None else None
                left = None if wake is None else wake - self.clock.now()
                if left is not None and left <= 0:
                    break
                beat(step := clamp(left))
                self._wanted.wait(step)
            drained: list[_Act | _Offer] = []
            events = 0
            while self._queue and events < BATCH:
                item = self._queue.popleft()
                events += len(item.batch.items) if isinstance(item, _Offer) else 1
                drained.append(item)
            return drained

    def _commit(self, drained: list[_Act | _Offer]) -> None:
        """One transaction for all of it; while the store is busy nothing is acknowledged, and it is tried again."""
        while True:
            beat()
            if self._given_up is not None:
                self._refuse(drained, self._given_up)
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
                else:
                    log.exception("engine.failed")
                self._refuse(drained, error)
                with self._wanted:
                    self._next_wake = self.clock.now() + RETRY_AFTER
                return
        reach("after-commit")
        work, began = done.work, done.began
        if done.leased:
            self.taker.take(done.leased, began)
        self.trouble = ""
        self._acknowledge(drained, done.results)
        reach("after-acknowledge")
        offers = [began - item.at for item in drained if isinstance(item, _Offer)]
        if work.admitted:
            self.on_admitted()
        if work.stops:
            self.on_stop_requested()
        self._report(work, self.clock.monotonic() - began, offers)

    def _wait_or_give_up(self, error: StoreBusyError) -> None:
        """What is refused at the end was never acknowledged: whoever brought it brings it again."""
        with self._wanted:
            last = self._try_until is not None and self.clock.monotonic() >= self._try_until
            if self._stopping or last:
                self._given_up = error
            else:
                self._wanted.wait(RETRY_AFTER)

    def _report(self, work: Work, seconds: float, waited: Sequence[float]) -> None:
        """It is committed and acknowledged; that a listener stumbles must not look as if it were not."""
        try:
            self._listener.committed(seconds, waited, self._queued_events)
            for what, facts in work.told:
                self._listener.told(what, facts, work.now)
        except Exception:
            log.exception("listener.failed")

    def _troubled(self, message: str) -> None:
        if not self.trouble:
            log.error("store.busy", error=message)
        self.trouble = message

    def _transact(self, drained: list[_Act | _Offer]) -> _Done:
        """Fold and commit. Where the answer to a commit was lost, the next call begins by finding out what it was."""
        if self._unsure is not None and self.store.settle():
            done = self._unsure
        else:
            self._unsure = None
            try:
                with self.store.write() as conn:
                    done = self._fold(conn, drained)
                    reach("before-commit")
            except Exception as error:
                self._admission_due = True  # what was found out about those that wait was not written
                if isinstance(error, CommitUnknownError):
                    self._unsure = done
                raise
        self._take_over(done)
        return done

    def _fold(self, conn: Connection, drained: list[_Act | _Offer]) -> _Done:
        began = self.clock.monotonic()
        work = Work(conn, self.catalog, self._cache, self._counters, self.clock.now(), self._birthplace)
        work.letters_limit = self.letters_limit
        work.polled = ChainMap({}, self._polled)
        work.heard = ChainMap({}, self._heard)
        due = self._next_wake is not None and self._next_wake <= work.now and self.catalog is not EMPTY
        if due:
            self._wake(work)
        results = self._run(work, drained)
        fanning = self._fanning
        if (due and fanning) or work.rows["fan_outs"]:
            fanning = self._fan_out(work)
        work.settle()
        if work.pools_changed or self._admission_due:
            self._admit(work)
        leased = hand_over(work, self.taker)
        work.flush()
        fanning = fanning or bool(work.rows["fan_outs"])
        return _Done(work, results, leased, self._soonest(work, fanning), fanning, began)

    def _take_over(self, done: _Done) -> None:
        """It is committed: from here on that is how things stand."""
        work, self._unsure = done.work, None
        self.catalog = work.catalog
        self._counters = work.counters
        self._polled.update(work.polled.maps[0])
        self._heard.update(work.heard.maps[0])
        self._cache.commit(work.changed, work.forgotten)
        self._next_wake, self._fanning = done.next_wake, done.fanning

    def _run(self, work: Work, drained: list[_Act | _Offer]) -> list[Any]:
        """Results in order; offers that follow each other are taken in together."""
        results: list[Any] = []
        offers: list[Batch] = []
        for item in drained:
            if isinstance(item, _Offer):
                offers.append(item.batch)
                continue
            results += take_in(work, offers)
            offers = []
            try:
                results.append(item.run(work))
            except Exception as error:
                if of_whole(error):  # the store's, not the asker's
                    raise
                results.append(error)
            work.settle()
        return results + take_in(work, offers)

    def _wake(self, work: Work) -> None:
        for rule, key in writes.due_states(work.conn, work.now, WAKES):
            if rule in work.catalog.rules:
                work.take(rule, key, Wake())
            else:
                writes.no_wake(work.conn, rule, key)

    def _fan_out(self, work: Work) -> bool:
        """Speak a slot for each live key, so many in a transaction; whether there are more."""
        writes.insert_all(work.conn, t.fan_outs, work.rows.pop("fan_outs", []))
        for row in writes.fan_outs(work.conn):
            keys = writes.keys_of(work.conn, row.rule, row.after, WAKES)
            for key in keys:
                work.take(row.rule, key, SlotDue(row.trigger, row.slot))
            if not keys and row.after == "":
                record = SlotRecord(row.trigger, row.slot, "skipped", Reason.NO_KEYS, row.slot)
                work.record_slot(row.rule, "", record, None)
            more = len(keys) == WAKES
            writes.move_fan_out(work.conn, row.rule, row.trigger, row.slot, keys[-1] if more else None)
        return bool(writes.fan_outs(work.conn))

    def _admit(self, work: Work) -> None:
        work.flush_runs()
        if self._next_start is not None and self._next_start <= work.now:
            work.admitted = True  # a run's moment has come: whoever submits must look
        waiting = self._waiting(work)
        purses, renewed = budgets.purses(work.conn, work.catalog, {w.budget for w in waiting if w.budget}, work.now)
        means = Means(work.catalog.pools, writes.pool_use(work.conn) if waiting else {}, purses)
        admitted = admit(waiting, means, work.now)
        writes.admit(work.conn, admitted, work.now)
        work.admitted = work.admitted or bool(admitted)
        moments = (writes.next_start(work.conn, work.now), renewed if len(admitted) < len(waiting) else None)
        self._next_start = min((m for m in moments if m is not None), default=None)
        self._admission_due = False

    def _waiting(self, work: Work) -> list[Waiting]:
        """Runs that wait, each with what pays for it, which is asked once for each rule."""
        rows = writes.waiting_runs(work.conn)
        costs = {name: budgets.cost_of(work.conn, work.catalog, name) for name in {row.rule for row in rows}}
        return [Waiting(r.id, r.pool, r.priority, r.born_at, r.not_before, *costs[r.rule]) for r in rows]

    def _soonest(self, work: Work, fanning: bool) -> float | None:
        """The next moment that something waits for; none before the rules are known, as nobody could answer."""
        if work.catalog is EMPTY:
            return None
        if self._next_start is not None and self._next_start <= work.now:
            self._admission_due = True
        moments = [writes.next_wake(work.conn), self._next_start]
        if fanning:
            moments.append(work.now)
        return min((m for m in moments if m is not None), default=None)

    def _off_the_queue(self, drained: Sequence[_Act | _Offer]) -> None:
        with self._wanted:
            self._queued_events -= sum(len(i.batch.items) for i in drained if isinstance(i, _Offer))

    def _acknowledge(self, drained: Sequence[_Act | _Offer], results: Sequence[Any]) -> None:
        self._off_the_queue(drained)
        for item, result in zip(drained, results, strict=True):
            if isinstance(result, Exception):
                item.future.set_exception(result)
            elif isinstance(item, _Offer):
                item.future.set_result(Receipt(result))
            else:
                item.future.set_result(result)

    def _refuse(self, drained: Sequence[_Act | _Offer], error: Exception) -> None:
        self._off_the_queue(drained)
        for item in drained:
            item.future.set_exception(error)

    def switch(self, catalog: Catalog) -> list[Dropped]:
        """Take over another set of rules. Return what that drops.

        States follow when they are next asked; at once those that time alone moves, or that waited for nothing else.
        """

        def run(work: Work) -> list[Dropped]:
            dropped = editing.remember(work.conn, catalog)
            work.catalog = catalog
            known = writes.root_revisions(work.conn)
            for rule in catalog.rules.values():
                by_itself = rule.schedules or (rule.freshness and not rule.per_key)
                if by_itself and known.get(rule.name) != rule.revision:
                    work.take(rule.name, "", Wake())
            editing.wake(work.conn, catalog, work.now)
            work.pools_changed = True
            return dropped

        dropped = self.act(run).result()
        self.standby = ""
        return dropped
