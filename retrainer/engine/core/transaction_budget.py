"""The work limit of one transaction. Remaining work continues in the next one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = 500
"""Maximum keys that one transaction evaluates for wake-ups, fan-outs and acts that concern many keys."""
SECONDS = 0.4
"""Seconds after which a transaction starts no further work. Writing the staged rows takes about as long again."""


@dataclass(slots=True)
class TransactionBudget:
    """Limits work on many keys. ``elapsed`` returns the seconds since the transaction began."""

    elapsed: Callable[[], float] = field(default=lambda: 0.0)
    keys: int = KEYS
    guaranteed: int = 0
    """Keys that are allowed even if the budget is used up, to prevent starvation."""

    def spend(self) -> bool:
        """Use one key of the budget. Return False if none is left: the caller continues in the next transaction."""
        if self.guaranteed <= 0 and self.spent:
            return False
        self.guaranteed -= 1
        self.keys -= 1
        return True

    @property
    def spent(self) -> bool:
        return self.keys <= 0 or self.late

    @property
    def late(self) -> bool:
        return self.elapsed() >= SECONDS
