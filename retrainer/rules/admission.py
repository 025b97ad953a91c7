"""`admit`: which waiting runs may start, across all rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


ROUNDING = 1e-9
"""Rounding error allowed for sums of GPU hours: a budget of 0.3 is enough for three runs of 0.1."""


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """A run that waits for admission. ``budget`` names its budget; ``reserve`` is the GPU hours reserved for it."""

    run: str
    pool: str | None
    priority: int
    created_at: float
    not_before: float
    budget: str = ""
    reserve: float = 0.0


@dataclass(slots=True)
class BudgetBalance:
    """What remains of a budget: runs and GPU hours. None means no limit."""

    runs: int | None
    hours: float | None

    def pays(self, reserve: float) -> bool:
        """Whether one more run with this reserve may start."""
        enough = self.runs is None or self.runs > 0
        return enough and (self.hours is None or (self.hours > ROUNDING and self.hours >= reserve - ROUNDING))

    def pay(self, reserve: float) -> None:
        if self.runs is not None:
            self.runs -= 1
        if self.hours is not None:
            self.hours -= reserve


@dataclass(frozen=True, slots=True)
class Capacity:
    """The slots of each pool and how many are in use, and the balance of each budget."""

    pools: Mapping[str, int]
    used: Mapping[str, int]
    balances: Mapping[str, BudgetBalance] = field(default_factory=dict)


def admit(waiting: Iterable[AdmissionRequest], means: Capacity, now: float) -> list[str]:
    """Ids of the runs that may start now, by priority, then by age.

    A pool or budget that is no longer configured does not limit a run: its rule was edited after the run was created.
    """
    free = {pool: slots - means.used.get(pool, 0) for pool, slots in means.pools.items()}
    balances = {name: BudgetBalance(balance.runs, balance.hours) for name, balance in means.balances.items()}
    admitted = []
    for w in sorted(waiting, key=lambda w: (-w.priority, w.created_at, w.run)):
        balance = balances.get(w.budget)
        full = w.pool is not None and free.get(w.pool, 1) <= 0
        if w.not_before > now or full or (balance is not None and not balance.pays(w.reserve)):
            continue
        if w.pool is not None and w.pool in free:
            free[w.pool] -= 1
        if balance is not None:
            balance.pay(w.reserve)
        admitted.append(w.run)
    return admitted
