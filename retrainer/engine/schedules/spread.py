"""Types of inputs that concern many keys of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.outcome import Resumed, Sampled, UpstreamEnded

if TYPE_CHECKING:
    from collections.abc import Mapping

Shared = Sampled | UpstreamEnded | Resumed


@dataclass(frozen=True, slots=True)
class EveryKey:
    """An input for every key that is live when the fan-out reaches it."""

    given: Shared


@dataclass(frozen=True, slots=True)
class EachKey:
    """Values of one trigger that differ by key: from a poll, or from a replayed value, for many keys."""

    of: Mapping[str, Sampled]

    def behind(self, key: str) -> list[str]:
        """Return the keys greater than ``key``, in order; all of them, also the empty one, if ``key`` is empty."""
        return sorted(each for each in self.of if each > key or not key)


Spread = EveryKey | EachKey
Reading = tuple[tuple[str, str], Sampled | Spread]
"""A (rule, key), and the input to fold into its state."""
