"""A run that may start at once is claimed in the transaction that bears it, and need not wait for another one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.runs.run import Run


class Dispatcher(Protocol):
    """Whoever submits; asked and told on the engine's thread. ``lease`` is in seconds."""

    lease: float

    def room(self) -> int:
        """So many new runs it would send at once; none while older ones wait in the store."""

    def announce(self, runs: Sequence[Run], began: float) -> None:
        """These are about to be committed: `take` follows, or `forget` if the transaction fails."""

    def forget(self) -> None:
        """What was announced and not taken is not committed."""

    def take(self, runs: Sequence[Run], began: float) -> None:
        """These are committed as SUBMITTING, leased since ``began`` on the monotonic clock or a little later."""


class NoDispatcher:
    """Runs wait until they are claimed."""

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
    """Lease what was born in this transaction and may start at once, if there is room; highest priority first."""
    ready = [run for run in tx.created.values() if run.admitted_at is not None]
    if not ready:
        return []
    ready.sort(key=lambda run: (-run.priority, run.id))
    leased = []
    for run in ready[: dispatcher.room()]:
        tx.emit("run.moved", run=run, phase=RunPhase.SUBMITTING)
        taken = replace(run, phase=RunPhase.SUBMITTING, lease_until=tx.now + dispatcher.lease, submit_attempts=1)
        tx.created[run.id] = taken
        leased.append(taken)
    return leased
