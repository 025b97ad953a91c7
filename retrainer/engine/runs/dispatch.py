"""Claim a run that may start at once in the transaction that creates it, so that it needs no second transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from retrainer.engine.core.notifications import RunMoved
from retrainer.runs.run import Run, RunPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.engine.core.transaction import Transaction


class Dispatcher(Protocol):
    """The interface of the submitter. All methods are called on the engine's thread. ``lease`` is in seconds."""

    lease: float

    def room(self) -> int:
        """Return how many new runs can be submitted at once: 0 while older ones wait in the store."""

    def announce(self, runs: Sequence[Run], began: float) -> None:
        """Called before these runs are committed. `take` follows, or `forget` if the transaction fails."""

    def forget(self) -> None:
        """Called if the transaction of the announced runs failed."""

    def take(self, runs: Sequence[Run], began: float) -> None:
        """These runs are committed as SUBMITTING. Their lease starts at ``began`` (monotonic clock) or just after."""


class NoDispatcher:
    """Dispatches nothing: runs wait until they are claimed."""

    lease = 0.0

    def room(self) -> int:
        return 0

    def announce(self, runs: Sequence[Run], began: float) -> None:
        """Never called: there is no room."""

    def forget(self) -> None:
        """Nothing is ever announced."""

    def take(self, runs: Sequence[Run], began: float) -> None:
        """Never called: there is no room."""


def dispatch(tx: Transaction, dispatcher: Dispatcher) -> list[Run]:
    """Lease the admitted runs of this transaction, highest priority first, as far as the dispatcher has room."""
    ready = [run for run in tx.writes.created.values() if run.admitted_at is not None]
    if not ready:
        return []
    ready.sort(key=lambda run: (-run.priority, run.id))
    leased = []
    for run in ready[: dispatcher.room()]:
        tx.writes.emit(RunMoved(run, RunPhase.SUBMITTING))
        taken = replace(run, phase=RunPhase.SUBMITTING, lease_until=tx.now + dispatcher.lease, submit_attempts=1)
        tx.writes.created[run.id] = taken
        leased.append(taken)
    return leased
