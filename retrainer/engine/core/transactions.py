"""Run one transaction of the engine: fold what is due and what is queued, admit runs, and write."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.core.catalog import EMPTY, Catalog
from retrainer.engine.core.containment import contained, settled
from retrainer.engine.core.fold import fold_input
from retrainer.engine.core.notifications import InputLeftOut
from retrainer.engine.core.state_cache import Cache
from retrainer.engine.core.transaction import Transaction, TransactionContext
from retrainer.engine.core.transaction_budget import KEYS, TransactionBudget
from retrainer.engine.intake.events import take_in
from retrainer.engine.runs.dispatch import Dispatcher, NoDispatcher, dispatch
from retrainer.engine.schedules.fan_out import fan_out
from retrainer.rules.admission import AdmissionRequest, Capacity, admit
from retrainer.rules.outcome import Wake
from retrainer.store import run_statements, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Row

    from retrainer.engine.runs.run_defaults import RunDefaults
    from retrainer.rules.state_fingerprint import Dropped
    from retrainer.runs.run import Run
    from retrainer.sources.base import Batch
    from retrainer.util.clock import Clock

T = TypeVar("T")
log = structlog.get_logger()

FEW = 5
"""Newly loaded rules that a transaction evaluates even if its budget is used up."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a transaction. It takes effect once the commit is confirmed.

    ``began`` is on the monotonic clock. ``results`` are in the order of the queued input. There are fewer of them if
    the time budget ended early.
    """

    tx: Transaction
    results: list[Any]
    leased: list[Run]
    next_wake: float | None
    fanning: bool
    began: float


class TransactionRunner:
    """Folds transactions one after another; `take_over` keeps the results of a committed one for the next."""

    def __init__(self, clock: Clock, run_defaults: RunDefaults, counters: dict[str, int]) -> None:
        self.catalog: Catalog = EMPTY
        self.dispatcher: Dispatcher = NoDispatcher()
        self.counters = counters
        self.dead_letters_limit = 1 << 62
        """Maximum total size of the dead letters, in bytes."""
        self.next_wake: float | None = None
        """When the next transaction is due without input, in epoch seconds; None for never."""
        self.cache = Cache()
        self.timed = True
        """Whether transactions have a time budget. False if the caller drives the engine and its clock."""
        self._clock = clock
        self._run_defaults = run_defaults
        self._admission_due = True
        self._next_start: float | None = None
        self._fanning = True
        """Whether fan-outs may remain in the store."""
        self._unseen: list[str] = []
        """Rules with time-based triggers that were not evaluated at their current revision yet."""
        self._seen_at: dict[str, float] = {}
        self._polled: dict[tuple[str, str], set[str]] = {}

    @property
    def default_namespace(self) -> str:
        """Namespace of rules that name none."""
        return self._run_defaults.namespace

    def tx(self, conn: Connection, *, careful: bool = False) -> Transaction:
        context = TransactionContext(self.catalog, self.cache, self._run_defaults, fold_input)
        tx = Transaction(conn, context, self.counters, self._clock.now())
        tx.careful = careful
        tx.writes.dead_letters_limit = self.dead_letters_limit
        if self.timed:
            began = self._clock.monotonic()
            tx.budget = TransactionBudget(lambda: self._clock.monotonic() - began)
        tx.polled = ChainMap({}, self._polled)
        tx.writes.seen_at = ChainMap({}, self._seen_at)
        tx.unseen = self._unseen
        return tx

    def fold(self, conn: Connection, queued: Sequence[Batch | Callable[[Transaction], Any]], *, careful: bool) -> Done:
        """Fold and write everything, without the commit. Errors of a unit of work are raised, unless ``careful``."""
        began = self._clock.monotonic()
        tx = self.tx(conn, careful=careful)
        due = self.next_wake is not None and self.next_wake <= tx.now and self.catalog is not EMPTY
        if due:
            self._wake(tx)
        results = self.run(tx, queued)
        self._look_first(tx)
        fanning = self._fanning
        if (due and fanning) or tx.writes.fans_out:
            tx.writes.fans_out = False
            fanning = fan_out(tx)
        tx.settle()
        if tx.pools_changed or self._admission_due:
            contained(tx, partial(self._admit, tx), partial(_not_admitted, tx))  # else the runs wait for the next one
        leased = dispatch(tx, self.dispatcher)
        tx.flush()
        fanning = fanning or tx.writes.fans_out
        return Done(tx, results, leased, self._soonest(tx, fanning), fanning, began)

    def failed(self) -> None:
        """The transaction was rolled back, and admission with it: run admission again in the next one."""
        self._admission_due = True

    def take_over(self, done: Done) -> None:
        """Make the result of a committed transaction the current state."""
        tx = done.tx
        self.catalog = tx.catalog
        self.counters = tx.writes.counters
        self._polled.update(tx.polled.maps[0])
        self._seen_at.update(tx.writes.seen_at.maps[0])
        self._unseen = tx.unseen
        self.cache.commit(tx.states.changed, tx.states.forgotten)
        self.next_wake, self._fanning = done.next_wake, done.fanning

    def run(self, tx: Transaction, queued: Sequence[Batch | Callable[[Transaction], Any]]) -> list[Any]:
        """Process the queue and return the results in order. Consecutive batches are folded together."""
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
        """Switch to other rules. Return the state that this drops.

        A state is revised when it is next evaluated. States with time-based triggers, and states that the edit may
        unblock, are evaluated soon.
        """
        in_use = statements.state_revisions(tx.conn)
        dropped = rule_changes.remember(tx.conn, catalog, in_use)
        tx.catalog = catalog
        known = statements.root_revisions(tx.conn)
        tx.unseen = [
            rule.name
            for rule in catalog.rules.values()
            if (rule.schedules or (rule.starts_alone and not rule.per_key)) and known.get(rule.name) != rule.revision
        ]
        rule_changes.wake(tx.conn, catalog, in_use, tx.now)
        tx.pools_changed = True
        return dropped

    def _look_first(self, tx: Transaction) -> None:
        """Evaluate newly loaded rules, as many as the budget allows."""
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

    def _admit(self, tx: Transaction) -> None:
        tx.writes.flush_runs()
        if self._next_start is not None and self._next_start <= tx.now:
            tx.writes.admitted = True  # a run has become due: wake the submitter
        used = run_statements.pool_use(tx.conn)
        free = {pool: slots - used.get(pool, 0) for pool, slots in tx.catalog.pools.items()}
        rows = run_statements.waiting_runs(tx.conn, tx.now, free, KEYS)
        waiting, all_known = _waiting(tx, rows)
        names = {w.budget for w in waiting if w.budget}
        balances, renewed = budget_balances.balances(tx.conn, tx.catalog, names, tx.now, partial(_costs, tx))
        admitted = admit(waiting, Capacity(tx.catalog.pools, used, balances), tx.now)
        run_statements.admit(tx.conn, admitted, tx.now)
        tx.writes.admitted = tx.writes.admitted or bool(admitted)
        moments = (
            run_statements.next_start(tx.conn, tx.now),
            renewed if len(admitted) < len(waiting) else None,
            None if all_known else tx.now + budget_balances.AGAIN,
            tx.now if {row.id for row in rows if row.place == KEYS} & set(admitted) else None,  # there may be more
        )
        self._next_start = min((m for m in moments if m is not None), default=None)
        self._admission_due = False

    def _soonest(self, tx: Transaction, fanning: bool) -> float | None:
        """When something is due next (epoch seconds). None before the rules are loaded: nothing can be evaluated."""
        if tx.catalog is EMPTY:
            return None
        if self._next_start is not None and self._next_start <= tx.now:
            self._admission_due = True
        moments = [statements.next_wake(tx.conn), self._next_start]
        if fanning or tx.unseen:
            moments.append(tx.now)
        return min((m for m in moments if m is not None), default=None)


def _waiting(tx: Transaction, rows: Sequence[Row[Any]]) -> tuple[list[AdmissionRequest], bool]:
    """Return the waiting runs with their budget and reserve, and whether these are known for all runs.

    The cost is computed once for each rule.
    """
    costs = {name: cost for name in {row.rule for row in rows} if (cost := _cost(tx, name)) is not None}
    known = [row for row in rows if row.rule in costs]
    waiting = [AdmissionRequest(r.id, r.pool, r.priority, r.created_at, r.not_before, *costs[r.rule]) for r in known]
    return waiting, len(known) == len(rows)


def _cost(tx: Transaction, rule: str) -> tuple[str, float] | None:
    """Return the budget of a run and its reserve in GPU hours; None if computing them raises: the rule's runs wait."""
    cost = _costs(tx, partial(budget_balances.cost_of, tx.conn, tx.catalog, rule), rule)
    if cost is None:
        tx.writes.emit(InputLeftOut("Admission"))
    return cost


def _costs(tx: Transaction, compute: Callable[[], T], whose: str) -> T | None:
    """Return the cost or balance of the rule or budget ``whose``. In a careful transaction, None if that raises."""

    def raised(error: Exception) -> None:
        log.error("admission.raised", whose=whose, exc_info=error)

    return contained(tx, compute, raised)


def _not_admitted(tx: Transaction, error: Exception) -> None:
    log.error("admission.raised", exc_info=error)
    tx.writes.emit(InputLeftOut("Admission"))


def _answer(tx: Transaction, act: Callable[[Transaction], Any]) -> Any:
    """Return the result of an act, or its exception for the caller. A failed act leaves nothing staged.

    A refusal (LookupError, ValueError) is raised before anything is staged and needs no savepoint. Other errors do.
    """
    if tx.careful:
        return contained(tx, partial(settled, tx, act), lambda error: error)
    staged = tx.staged
    try:
        return settled(tx, act)
    except (LookupError, ValueError) as error:
        if type(error) not in (LookupError, ValueError) or tx.staged != staged:
            raise  # not a refusal but a bug: a KeyError, for example
        return error
