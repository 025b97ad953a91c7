"""How much data was pending at each time, from what arrived and what runs took and returned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from retrainer.util.thinning import Point


@dataclass(frozen=True, slots=True)
class Change:
    """A change of what is pending: ``amount`` arrived, was taken by a run, or was returned by one, at ``at``."""

    at: float
    kind: Literal["arrived", "taken", "returned"]
    amount: float


def steps_back(changes: Iterable[Change], since: float, at: float, pending: float | None) -> list[Point]:
    """Return the amounts, the latest first: each lasts until the following point. None where it is not known.

    ``changes`` from ``since`` on are the latest first; ``pending`` is the amount at ``at``, after all of them. A run
    takes all that is pending. So the changes between two runs have to add up. Amounts that do not are not shown: an
    edit dropped the state, or events were pruned.
    """
    steps: list[Point] = [(at, pending)]
    begun = 0
    for change in changes:
        if change.kind == "taken":
            if pending != 0:
                steps[begun:] = [(when, None) for when, _ in steps[begun:]]
            steps.append((change.at, 0.0 if pending == 0 else None))
            pending = change.amount
            begun = len(steps)
            steps.append((change.at, pending))
        elif pending is not None:
            if pending == 0:  # what arrived before was dropped with the state, not taken
                steps.append((change.at, pending := None))
                continue
            steps.append((change.at, pending))
            pending -= change.amount
            if pending < 0:
                steps[begun:] = [(when, None) for when, _ in steps[begun:]]
                pending = None
    return [*steps, (since, pending)]
