"""How much one transaction may do; what is left over goes on in the next one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = 500
"""Keys that one transaction evaluates for wake-ups, fan-outs and acts that concern many."""
SECONDS = 0.4
"""After which a transaction begins nothing more. Writing what it staged takes about as long again."""


@dataclass(slots=True)
class TransactionBudget:
    """Spent by whatever comes in large numbers. ``elapsed`` gives the seconds since the transaction began."""

    elapsed: Callable[[], float] = field(default=lambda: 0.0)
    keys: int = KEYS
    guaranteed: int = 0
    """Keys that may be taken whatever was spent, so that nobody starves."""

    def spend(self) -> bool:
        """Take one key; false if nothing is left and the caller should go on in the next transaction."""
        if self.guaranteed > 0:
            self.guaranteed -= 1
            self.keys -= 1
            return True
        if self.spent:
            return False
        self.keys -= 1
        return True

    @property
    def spent(self) -> bool:
        return self.keys <= 0 or self.late

    @property
    def late(self) -> bool:
        return self.elapsed() >= SECONDS
