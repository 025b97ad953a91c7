"""Inputs for many keys of a rule, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.outcome import Resumed, Sampled, UpstreamEnded

if TYPE_CHECKING:
    from collections.abc import Mapping

Shared = Sampled | UpstreamEnded | Resumed


@dataclass(frozen=True, slots=True)
class EveryKey:
    """An input for all keys that are live when their turn comes."""

    given: Shared


@dataclass(frozen=True, slots=True)
class EachKey:
    """Values of one trigger, other ones for each key: what a poll, or a value that is replayed, says to many keys."""

    of: Mapping[str, Sampled]

    def behind(self, key: str) -> list[str]:
        """Return the keys that come after this one, in order."""
        return sorted(each for each in self.of if each > key)


Spread = EveryKey | EachKey
Reading = tuple[tuple[str, str], Sampled | Spread]
"""A (rule, key), and the input that is folded into its state."""
