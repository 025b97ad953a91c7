"""One transaction: the unit of work that a fold gets, with the states and the rows that it will write."""

from __future__ import annotations

from collections import ChainMap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from retrainer.engine.core.notifications import RunCreated
from retrainer.engine.core.states import States
from retrainer.engine.core.transaction_budget import TransactionBudget
from retrainer.engine.core.write_buffer import WriteBuffer
from retrainer.rules.outcome import Input, Reopened, Step
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.state_cache import Cache
    from retrainer.engine.runs.run_defaults import RunDefaults
    from retrainer.engine.schedules.spread import Spread
    from retrainer.runs.run import Run


class PendingArrivals(Protocol):
    """Events that are aggregated for a (rule, key) and not folded yet."""

    def close(self, where: tuple[str, str]) -> None:
        """Fold the events of one (rule, key)."""

    def clear(self) -> None:
        """Drop all of them."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The result of folding an input: what `step` returned, and the runs created for it and for what followed."""

    step: Step
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class TransactionContext:
    """What all transactions share. ``fold`` folds an input into the state of a (rule, key)."""

    catalog: Catalog
    cache: Cache
    run_defaults: RunDefaults
    fold: Callable[[Transaction, str, str, Input | Spread], Folded | None]


class Transaction:
    """A unit of work, used until its commit. ``writes``: the staged rows; ``states``: those of each (rule, key)."""

    STAGED = ("catalog", "after", "pools_changed", "stops", "polled", "unseen")

    def __init__(self, conn: Connection, context: TransactionContext, counters: dict[str, int], now: float) -> None:
        self.conn = conn
        self.writes = WriteBuffer(conn, counters, now)
        self.states = States(context.cache, self.writes)
        self.careful = False
        """Whether each unit of work has its own savepoint; see `retrainer.engine.core.containment`."""
        self.budget = TransactionBudget()
        self.unseen: list[str] = []
        """Newly loaded rules that are not evaluated yet. The list is replaced, never changed in place."""
        self.catalog = context.catalog
        self.run_defaults = context.run_defaults
        self.arrivals: PendingArrivals | None = None
        """Set while a batch is taken in."""
        self.pools_changed = False
        self.stops = False
        self.polled: ChainMap[tuple[str, str], set[str]] = ChainMap()
        """Keys that had series in the last poll, by (rule, trigger). Changes go into the first map."""
        self._fold = context.fold
        self.after: list[tuple[str, str, Input | Spread]] = []
        """Inputs to fold next, before any other."""

    @property
    def now(self) -> float:
        """The time of everything in this transaction (epoch seconds). Only simulations advance it."""
        return self.writes.now

    @now.setter
    def now(self, now: float) -> None:
        self.writes.now = now

    def take(self, rule_name: str, key: str, given: Input | Spread) -> Folded | None:
        """Fold an input and the inputs that directly follow from it. Return None if the rule does not exist."""
        if self.arrivals is not None:
            self.arrivals.close((rule_name, key))
        try:
            folded = self._fold(self, rule_name, key, given)
        except Exception as error:
            if self.careful and not of_whole(error):
                self.settle()  # fold what the evaluation of the key without the input left
            raise
        runs = self.settle()
        return replace(folded, runs=(*folded.runs, *runs)) if folded is not None and runs else folded

    def settle(self) -> list[Run]:
        """Fold the inputs in `after`. Return the runs that this creates."""
        runs: list[Run] = []
        while self.after:
            folded = self._fold(self, *self.after.pop(0))
            runs += folded.runs if folded is not None else ()
        return runs

    def adopt(self, run: Run) -> None:
        """Stage a manually requested run. It counts as active like any other run."""
        self.writes.flush_runs()
        self.writes.created[run.id] = run
        self.pools_changed = True
        self.writes.emit(RunCreated(run))
        self.take(run.rule, run.key, Reopened(run.id))

    @property
    def staged(self) -> tuple[int, ...]:
        """Counts that change whenever something is staged. Statements that are executed at once are not counted."""
        return (*self.writes.staged, len(self.states.changed), len(self.after), len(self.unseen))

    def flush(self) -> None:
        """Write the staged rows and the changed states."""
        self.writes.flush()
        self.states.flush()
