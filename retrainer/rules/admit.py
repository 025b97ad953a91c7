"""`admit`: which of the runs that wait may start, across all rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that waits for admission."""

    run: str
    pool: str | None
    priority: int
    born_at: float
    not_before: float


def admit(waiting: Iterable[Waiting], pools: Mapping[str, int], used: Mapping[str, int], now: float) -> list[str]:
    """Ids of the runs that may start now, by priority, then age.

    `pools` holds the slots of each pool, `used` those taken. A run of a pool that is not configured any more waits for
    nothing: its rule was edited after it was born.
    """
    free = {pool: slots - used.get(pool, 0) for pool, slots in pools.items()}
    admitted = []
    for w in sorted(waiting, key=lambda w: (-w.priority, w.born_at, w.run)):
        if w.not_before > now:
            continue
        if w.pool is not None and w.pool in free:
            if free[w.pool] <= 0:
                continue
            free[w.pool] -= 1
        admitted.append(w.run)
    return admitted
