"""One transaction of the engine: what is due and what is queued, folded, admitted and written."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine import budgets, editing
from retrainer.engine.cache import Cache
from retrainer.engine.catalog import EMPTY, Catalog
from retrainer.engine.containment import attempt, settled
from retrainer.engine.fan_out import fan_out
from retrainer.engine.handover import Nobody, hand_over
from retrainer.engine.intake import take_in
from retrainer.engine.transaction_budget import KEYS, TransactionBudget
from retrainer.engine.work import Work
from retrainer.rules.admit import Means, Waiting, admit
from retrainer.rules.outcome import Wake
from retrainer.store import writes
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Row

    from retrainer.clock import Clock
    from retrainer.engine.births import Birthplace
    from retrainer.engine.handover import Taker
    from retrainer.rules.meaning import Dropped
    from retrainer.runs.run import Run
    from retrainer.sources.base import Batch

log = structlog.get_logger()

FEW = 5
"""Rules that were loaded and are evaluated likewise."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a transaction that ``began`` then came to; it counts once it is known to be committed.

    ``results`` are the answers of what was queued, in order; fewer of them if the time was over.
    """

    work: Work
    results: list[Any]
    leased: list[Run]
    next_wake: float | None
    fanning: bool
    began: float


class Transactions:
    """Folds one transaction after the other; `take_over` keeps what a committed one leaves for the next."""

    def __init__(self, clock: Clock, birthplace: Birthplace, counters: dict[str, int]) -> None:
        self.catalog: Catalog = EMPTY
        self.taker: Taker = Nobody()
        self.counters = counters
        self.letters_limit = 1 << 62
        """Bytes that dead letters may take up."""
        self.next_wake: float | None = None
        """When the next one is due by itself, in seconds since the epoch; None for never."""
        self.cache = Cache()
        self.timed = True
        """Whether time passes while a transaction is folded; where somebody else moves the clock it does not."""
        self._clock = clock
        self._birthplace = birthplace
        self._admission_due = True
        self._next_start: float | None = None
        self._fanning = True
        """Whether slots may still have to be spoken to keys."""
        self._unseen: list[str] = []
        """Rules that time alone moves, whose states do not know the present revision yet."""
        self._heard: dict[str, float] = {}
        self._polled: dict[tuple[str, str], set[str]] = {}

    def work(self, conn: Connection, *, careful: bool = False) -> Work:
        work = Work(conn, self.catalog, self.cache, self.counters, self._clock.now(), self._birthplace)
        work.careful = careful
        work.letters_limit = self.letters_limit
        if self.timed:
            began = self._clock.monotonic()
            work.budget = TransactionBudget(lambda: self._clock.monotonic() - began)
        work.polled = ChainMap({}, self._polled)
        work.heard = ChainMap({}, self._heard)
        work.unseen = self._unseen
        return work

    def fold(self, conn: Connection, queued: Sequence[Batch | Callable[[Work], Any]], *, careful: bool) -> Done:
        """All of it, written but not committed. Raise what any of it raises, unless it is folded carefully."""
        began = self._clock.monotonic()
        work = self.work(conn, careful=careful)
        due = self.next_wake is not None and self.next_wake <= work.now and self.catalog is not EMPTY
        if due:
            self._wake(work)
        results = self.run(work, queued)
        self._look_first(work)
        fanning = self._fanning
        if (due and fanning) or work.fans_out:
            work.fans_out = False
            fanning = fan_out(work)
        work.settle()
        if work.pools_changed or self._admission_due:
            self._admit_contained(work)
        leased = hand_over(work, self.taker)
        work.flush()
        fanning = fanning or work.fans_out
        return Done(work, results, leased, self._soonest(work, fanning), fanning, began)

    def failed(self) -> None:
        """What was found out about runs that wait was not written."""
        self._admission_due = True

    def take_over(self, done: Done) -> None:
        """It is committed: from here on that is how things stand."""
        work = done.work
        self.catalog = work.catalog
        self.counters = work.counters
        self._polled.update(work.polled.maps[0])
        self._heard.update(work.heard.maps[0])
        self._unseen = work.unseen
        self.cache.commit(work.changed, work.forgotten)
        self.next_wake, self._fanning = done.next_wake, done.fanning

    def run(self, work: Work, queued: Sequence[Batch | Callable[[Work], Any]]) -> list[Any]:
        """Answers in order; batches that follow each other are taken in together."""
        results: list[Any] = []
        batches: list[Batch] = []
        for each in queued:
            if not callable(each):
                batches.append(each)
                continue
            taken = take_in(work, batches)
            results += taken
            if len(taken) < len(batches) or (results and work.budget.late):
                return results
            batches = []
            results.append(_answer(work, each))
        return results + take_in(work, batches)

    def switch(self, work: Work, catalog: Catalog) -> list[Dropped]:
        """Take over another set of rules. Return what that drops.

        States follow when they are next evaluated; soon those that time alone moves, or that waited for nothing else.
        """
        dropped = editing.remember(work.conn, catalog)
        work.catalog = catalog
        known = writes.root_revisions(work.conn)
        work.unseen = [
            rule.name
            for rule in catalog.rules.values()
            if (rule.schedules or (rule.freshness and not rule.per_key)) and known.get(rule.name) != rule.revision
        ]
        editing.wake(work.conn, catalog, work.now)
        work.pools_changed = True
        return dropped

    def _look_first(self, work: Work) -> None:
        """Evaluate rules that have not been since they were loaded, as many as the budget allows."""
        unseen = list(work.unseen)
        work.budget.guaranteed = FEW
        while unseen and work.budget.spend():
            work.take(unseen.pop(), "", Wake())
        work.unseen, work.budget.guaranteed = unseen, 0

    def _wake(self, work: Work) -> None:
        for rule, key in writes.due_states(work.conn, work.now, KEYS):
            if not work.budget.spend():
                return
            if rule in work.catalog.rules:
                work.take(rule, key, Wake())
            else:
                writes.no_wake(work.conn, rule, key)

    def _admit_contained(self, work: Work) -> None:
        """What admission raises leaves the runs that wait where they are, until the next transaction."""
        if not work.careful:
            self._admit(work)
            return
        try:
            attempt(work, partial(self._admit, work))
        except Exception as error:
            if of_whole(error):
                raise
            log.exception("admission.raised")
            work.tell("left_out", unit="Admission")

    def _admit(self, work: Work) -> None:
        work.flush_runs()
        if self._next_start is not None and self._next_start <= work.now:
            work.admitted = True  # a run's moment has come: whoever submits must look
        used = writes.pool_use(work.conn)
        free = {pool: slots - used.get(pool, 0) for pool, slots in work.catalog.pools.items()}
        rows = writes.waiting_runs(work.conn, work.now, free, KEYS)
        waiting, all_known = _waiting(work, rows)
        names = {w.budget for w in waiting if w.budget}
        purses, renewed = budgets.purses(work.conn, work.catalog, names, work.now, _contain(work))
        admitted = admit(waiting, Means(work.catalog.pools, used, purses), work.now)
        writes.admit(work.conn, admitted, work.now)
        work.admitted = work.admitted or bool(admitted)
        moments = (
            writes.next_start(work.conn, work.now),
            renewed if len(admitted) < len(waiting) else None,
            None if all_known else work.now + budgets.AGAIN,
            work.now if {row.id for row in rows if row.place == KEYS} & set(admitted) else None,  # there may be more
        )
        self._next_start = min((m for m in moments if m is not None), default=None)
        self._admission_due = False

    def _soonest(self, work: Work, fanning: bool) -> float | None:
        """The next moment that something waits for; none before the rules are known, as nobody could answer."""
        if work.catalog is EMPTY:
            return None
        if self._next_start is not None and self._next_start <= work.now:
            self._admission_due = True
        moments = [writes.next_wake(work.conn), self._next_start]
        if fanning or work.unseen:
            moments.append(work.now)
        return min((m for m in moments if m is not None), default=None)


def _waiting(work: Work, rows: Sequence[Row[Any]]) -> tuple[list[Waiting], bool]:
    """Runs that wait, each with what pays for it, asked once for each rule; and whether that is known of all."""
    costs = {name: cost for name in {row.rule for row in rows} if (cost := _cost(work, name)) is not None}
    known = [row for row in rows if row.rule in costs]
    waiting = [Waiting(r.id, r.pool, r.priority, r.born_at, r.not_before, *costs[r.rule]) for r in known]
    return waiting, len(known) == len(rows)


def _cost(work: Work, rule: str) -> tuple[str, float] | None:
    """What pays for a run, and how much of it; None if finding out raises, so that the rule's runs wait."""
    cost = _contain(work)(work.conn, partial(budgets.cost_of, work.conn, work.catalog, rule), rule)
    if cost is None:
        work.tell("left_out", unit="Admission")
    return cost


def _contain(work: Work) -> budgets.Contain:
    return budgets.carefully if work.careful else budgets.plainly


def _answer(work: Work, act: Callable[[Work], Any]) -> Any:
    """What an act returns, or raises: that is the asker's, and nothing of it is left behind.

    A refusal is raised before anything was staged, so that it needs no savepoint; anything else does.
    """
    if work.careful:
        try:
            return attempt(work, partial(settled, work, act))
        except Exception as error:
            if of_whole(error):
                raise
            return error
    staged = work.staged
    try:
        return settled(work, act)
    except (LookupError, ValueError) as error:
        if type(error) not in (LookupError, ValueError) or work.staged != staged:
            raise  # no refusal of ours: a mistake in the code raises a KeyError, say
        return error
