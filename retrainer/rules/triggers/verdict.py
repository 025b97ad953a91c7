"""The result of evaluating a trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.rules.outcome import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """``until``: when the trigger will be satisfied without further input (epoch seconds); None if unknown."""

    satisfied: bool
    reason: Reason
    detail: str
    until: float | None = None
