"""One transaction of the engine: what is due and what is queued, folded, admitted and written."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.core.catalog import EMPTY, Catalog
from retrainer.engine.core.containment import attempt, settled
from retrainer.engine.core.fold import fold_input
from retrainer.engine.core.state_cache import Cache
from retrainer.engine.core.transaction import Transaction, TransactionContext
from retrainer.engine.core.transaction_budget import KEYS, TransactionBudget
from retrainer.engine.intake.events import take_in
from retrainer.engine.runs.dispatch import NoDispatcher, dispatch
from retrainer.engine.schedules.fan_out import fan_out
from retrainer.rules.admit import AdmissionRequest, Capacity, admit
from retrainer.rules.outcome import Wake
from retrainer.store import run_statements, statements
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Row

    from retrainer.engine.runs.dispatch import Dispatcher
    from retrainer.engine.runs.run_defaults import RunDefaults
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.runs.run import Run
    from retrainer.sources.base import Batch
    from retrainer.util.clock import Clock

log = structlog.get_logger()

FEW = 5
"""Rules that were loaded and are evaluated likewise."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a transaction that ``began`` then came to; it counts once it is known to be committed.

    ``results`` are the answers of what was queued, in order; fewer of them if the time was over.
    """

    tx: Transaction
    results: list[Any]
    leased: list[Run]
    next_wake: float | None
    fanning: bool
    began: float


class TransactionRunner:
    """Folds one transaction after the other; `take_over` keeps what a committed one leaves for the next."""

    def __init__(self, clock: Clock, run_defaults: RunDefaults, counters: dict[str, int]) -> None:
        self.catalog: Catalog = EMPTY
        self.dispatcher: Dispatcher = NoDispatcher()
        self.counters = counters
        self.dead_letters_limit = 1 << 62
        """Bytes that dead letters may take up."""
        self.next_wake: float | None = None
        """When the next one is due by itself, in seconds since the epoch; None for never."""
        self.cache = Cache()
        self.timed = True
        """Whether time passes while a transaction is folded; where somebody else moves the clock it does not."""
        self._clock = clock
        self._run_defaults = run_defaults
        self._admission_due = True
        self._next_start: float | None = None
        self._fanning = True
        """Whether slots may still have to be spoken to keys."""
        self._unseen: list[str] = []
        """Rules that time alone moves, whose states do not know the present revision yet."""
        self._heard: dict[str, float] = {}
        self._polled: dict[tuple[str, str], set[str]] = {}

    def tx(self, conn: Connection, *, careful: bool = False) -> Transaction:
        context = TransactionContext(self.catalog, self.cache, self._run_defaults, fold_input)
        tx = Transaction(conn, context, self.counters, self._clock.now())
        tx.careful = careful
        tx.dead_letters_limit = self.dead_letters_limit
        if self.timed:
            began = self._clock.monotonic()
            tx.budget = TransactionBudget(lambda: self._clock.monotonic() - began)
        tx.polled = ChainMap({}, self._polled)
        tx.seen_at = ChainMap({}, self._heard)
        tx.unseen = self._unseen
        return tx

    def fold(self, conn: Connection, queued: Sequence[Batch | Callable[[Transaction], Any]], *, careful: bool) -> Done:
        """All of it, written but not committed. Raise what any of it raises, unless it is folded carefully."""
        began = self._clock.monotonic()
        tx = self.tx(conn, careful=careful)
        due = self.next_wake is not None and self.next_wake <= tx.now and self.catalog is not EMPTY
        if due:
            self._wake(tx)
        results = self.run(tx, queued)
        self._look_first(tx)
        fanning = self._fanning
        if (due and fanning) or tx.fans_out:
            tx.fans_out = False
            fanning = fan_out(tx)
        tx.settle()
        if tx.pools_changed or self._admission_due:
            self._admit_contained(tx)
        leased = dispatch(tx, self.dispatcher)
        tx.flush()
        fanning = fanning or tx.fans_out
        return Done(tx, results, leased, self._soonest(tx, fanning), fanning, began)

    def failed(self) -> None:
        """What was found out about runs that wait was not written."""
        self._admission_due = True

    def take_over(self, done: Done) -> None:
        """It is committed: from here on that is how things stand."""
        tx = done.tx
        self.catalog = tx.catalog
        self.counters = tx.counters
        self._polled.update(tx.polled.maps[0])
        self._heard.update(tx.seen_at.maps[0])
        self._unseen = tx.unseen
        self.cache.commit(tx.changed, tx.forgotten)
        self.next_wake, self._fanning = done.next_wake, done.fanning

    def run(self, tx: Transaction, queued: Sequence[Batch | Callable[[Transaction], Any]]) -> list[Any]:
        """Answers in order; batches that follow each other are taken in together."""
        results: list[Any] = []
        batches: list[Batch] = []
        for each in queued:
            if not callable(each):
                batches.append(each)
                continue
            taken = take_in(tx, batches)
            results += taken
            if len(taken) < len(batches) or (results and tx.budget.late):
                return results
            batches = []
            results.append(_answer(tx, each))
        return results + take_in(tx, batches)

    def switch(self, tx: Transaction, catalog: Catalog) -> list[Dropped]:
        """Take over another set of rules. Return what that drops.

        States follow when they are next evaluated; soon those that time alone moves, or that waited for nothing else.
        """
        dropped = rule_changes.remember(tx.conn, catalog)
        tx.catalog = catalog
        known = statements.root_revisions(tx.conn)
        tx.unseen = [
            rule.name
            for rule in catalog.rules.values()
            if (rule.schedules or (rule.freshness and not rule.per_key)) and known.get(rule.name) != rule.revision
        ]
        rule_changes.wake(tx.conn, catalog, tx.now)
        tx.pools_changed = True
        return dropped

    def _look_first(self, tx: Transaction) -> None:
        """Evaluate rules that have not been since they were loaded, as many as the budget allows."""
        unseen = list(tx.unseen)
        tx.budget.guaranteed = FEW
        while unseen and tx.budget.spend():
            tx.take(unseen.pop(), "", Wake())
        tx.unseen, tx.budget.guaranteed = unseen, 0

    def _wake(self, tx: Transaction) -> None:
        for rule, key in statements.due_states(tx.conn, tx.now, KEYS):
            if not tx.budget.spend():
                return
            if rule in tx.catalog.rules:
                tx.take(rule, key, Wake())
            else:
                statements.no_wake(tx.conn, rule, key)

    def _admit_contained(self, tx: Transaction) -> None:
        """What admission raises leaves the runs that wait where they are, until the next transaction."""
        if not tx.careful:
            self._admit(tx)
            return
        try:
            attempt(tx, partial(self._admit, tx))
        except Exception as error:
            if of_whole(error):
                raise
            log.exception("admission.raised")
            tx.emit("left_out", unit="Admission")

    def _admit(self, tx: Transaction) -> None:
        tx.flush_runs()
        if self._next_start is not None and self._next_start <= tx.now:
            tx.admitted = True  # a run's moment has come: whoever submits must look
        used = run_statements.pool_use(tx.conn)
        free = {pool: slots - used.get(pool, 0) for pool, slots in tx.catalog.pools.items()}
        rows = run_statements.waiting_runs(tx.conn, tx.now, free, KEYS)
        waiting, all_known = _waiting(tx, rows)
        names = {w.budget for w in waiting if w.budget}
        balances, renewed = budget_balances.balances(tx.conn, tx.catalog, names, tx.now, _contain(tx))
        admitted = admit(waiting, Capacity(tx.catalog.pools, used, balances), tx.now)
        run_statements.admit(tx.conn, admitted, tx.now)
        tx.admitted = tx.admitted or bool(admitted)
        moments = (
            run_statements.next_start(tx.conn, tx.now),
            renewed if len(admitted) < len(waiting) else None,
            None if all_known else tx.now + budget_balances.AGAIN,
            tx.now if {row.id for row in rows if row.place == KEYS} & set(admitted) else None,  # there may be more
        )
        self._next_start = min((m for m in moments if m is not None), default=None)
        self._admission_due = False

    def _soonest(self, tx: Transaction, fanning: bool) -> float | None:
        """The next moment that something waits for; none before the rules are known, as nobody could answer."""
        if tx.catalog is EMPTY:
            return None
        if self._next_start is not None and self._next_start <= tx.now:
            self._admission_due = True
        moments = [statements.next_wake(tx.conn), self._next_start]
        if fanning or tx.unseen:
            moments.append(tx.now)
        return min((m for m in moments if m is not None), default=None)


def _waiting(tx: Transaction, rows: Sequence[Row[Any]]) -> tuple[list[AdmissionRequest], bool]:
    """Runs that wait, each with what pays for it, asked once for each rule; and whether that is known of all."""
    costs = {name: cost for name in {row.rule for row in rows} if (cost := _cost(tx, name)) is not None}
    known = [row for row in rows if row.rule in costs]
    waiting = [AdmissionRequest(r.id, r.pool, r.priority, r.created_at, r.not_before, *costs[r.rule]) for r in known]
    return waiting, len(known) == len(rows)


def _cost(tx: Transaction, rule: str) -> tuple[str, float] | None:
    """What pays for a run, and how much of it; None if finding out raises, so that the rule's runs wait."""
    cost = _contain(tx)(tx.conn, partial(budget_balances.cost_of, tx.conn, tx.catalog, rule), rule)
    if cost is None:
        tx.emit("left_out", unit="Admission")
    return cost


def _contain(tx: Transaction) -> budget_balances.Contain:
    return budget_balances.carefully if tx.careful else budget_balances.plainly


def _answer(tx: Transaction, act: Callable[[Transaction], Any]) -> Any:
    """What an act returns, or raises: that is the asker's, and nothing of it is left behind.

    A refusal is raised before anything was staged, so that it needs no savepoint; anything else does.
    """
    if tx.careful:
        try:
            return attempt(tx, partial(settled, tx, act))
        except Exception as error:
            if of_whole(error):
                raise
            return error
    staged = tx.staged
    try:
        return settled(tx, act)
    except (LookupError, ValueError) as error:
        if type(error) not in (LookupError, ValueError) or tx.staged != staged:
            raise  # no refusal of ours: a mistake in the code raises a KeyError, say
        return error
