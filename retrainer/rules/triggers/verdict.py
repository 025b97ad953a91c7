"""What a trigger says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.rules.outcome import Reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """``until``: when it is satisfied if nothing more comes, None if that is not known."""

    satisfied: bool
    reason: Reason
    detail: str
    until: float | None = None
