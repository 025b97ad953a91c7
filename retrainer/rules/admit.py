"""`admit`: which of the runs that wait may start, across all rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


ROUNDING = 1e-9
"""GPU hours that sums of floats may be off: three tenths pay for three runs of a tenth."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for admission; ``budget`` names what pays for it, ``reserve`` the GPU hours kept for it."""

    run: str
    pool: str | None
    priority: int
    created_at: float
    not_before: float
    budget: str = ""
    reserve: float = 0.0


@dataclass(slots=True)
class BudgetBalance:
    """What is left of a budget; None where it sets no limit."""

    runs: int | None
    hours: float | None

    def pays(self, reserve: float) -> bool:
        """Whether one more run may start."""
        enough = self.runs is None or self.runs > 0
        return enough and (self.hours is None or (self.hours > ROUNDING and self.hours >= reserve - ROUNDING))

    def pay(self, reserve: float) -> None:
        if self.runs is not None:
            self.runs -= 1
        if self.hours is not None:
            self.hours -= reserve


@dataclass(frozen=True, slots=True)
class Capacity:
    """What runs wait for: slots of each pool and how many are taken, and what is left of each budget."""

    pools: Mapping[str, int]
    used: Mapping[str, int]
    balances: Mapping[str, BudgetBalance] = field(default_factory=dict)


def admit(waiting: Iterable[Waiting], means: Capacity, now: float) -> list[str]:
    """Ids of the runs that may start now, by priority, then age.

    A run of a pool or budget that is not configured any more waits for nothing: its rule was edited after it was born.
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
