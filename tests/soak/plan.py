"""The schedule of faults: a pure function of the seed and the minutes, so that a run can be repeated.

In the first fifth of a run every replica is hit: the leader is killed, frozen, and cut off for longer than its lease.
From then on, `a` only gets faults that its process must survive, so that its growth can be measured.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Kind = tuple[str, str]
"""A component and a fault."""
Range = tuple[float, float]
"""Minimum and maximum, in seconds."""

EARLY, EARLY_SECONDS = 0.2, 450.0
"""The share of a run in which `a` may be killed, and its maximum in seconds. It leaves `a` some minutes to warm up."""
QUIET_AT_START, QUIET_AT_END = 10.0, 25.0
"""Seconds without faults: at the start the first events arrive, at the end the last ones are processed."""
LONGEST = 20.0
"""Maximum seconds of a fault."""

# A lease lasts ten seconds: in the longer ones of these the other daemon takes over, and the victim exits.
SPARING_NOBODY: Mapping[Kind, Range] = {
    ("a", "kill"): (0.0, 3.0),
    ("b", "kill"): (0.0, 3.0),
    ("a", "freeze"): (12.0, 18.0),
    ("b", "freeze"): (12.0, 18.0),
    ("a-postgres", "cut"): (12.0, 18.0),
    ("b-postgres", "cut"): (12.0, 18.0),
    ("postgres", "freeze"): (11.0, 15.0),
}
ALWAYS: Mapping[Kind, Range] = {
    ("b", "kill"): (0.0, 5.0),
    ("b", "stop"): (0.0, 2.0),
    ("b", "freeze"): (2.0, LONGEST),
    ("a", "freeze"): (1.0, 4.0),
    ("a-postgres", "cut"): (0.5, 4.0),
    ("b-postgres", "cut"): (0.5, 15.0),
    ("a-api", "cut"): (1.0, 15.0),
    ("b-api", "cut"): (1.0, 15.0),
    ("a-api", "hush"): (3.0, 15.0),
    ("kafka", "kill"): (0.0, 3.0),
    ("kafka", "freeze"): (2.0, 12.0),
    ("kafka-line", "cut"): (1.0, 15.0),
    ("kafka-line", "hush"): (3.0, 15.0),
    ("postgres", "kill"): (0.0, 2.0),
    ("postgres", "stop"): (0.0, 2.0),
    ("postgres", "freeze"): (1.0, 4.0),
    ("backend", "freeze"): (1.0, 4.0),
    ("minio", "kill"): (0.0, 5.0),
    ("minio", "freeze"): (2.0, 12.0),
    ("minio-line", "cut"): (1.0, 15.0),
    ("prometheus", "kill"): (0.0, 5.0),
    ("prometheus", "freeze"): (2.0, 12.0),
    ("prometheus-line", "cut"): (1.0, 15.0),
    ("alertmanager", "kill"): (0.0, 5.0),
    ("alertmanager", "freeze"): (2.0, 12.0),
    ("workflow-controller", "freeze"): (2.0, 10.0),
    ("workflow-controller", "stop"): (0.0, 3.0),
    ("apiserver", "freeze"): (1.0, 5.0),
    ("etcd", "freeze"): (1.0, 3.0),
}
CLUSTER = frozenset({"workflow-controller", "apiserver", "etcd"})
"""Components that other users of the same cluster need."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a component, ``at`` seconds after the load began, for ``seconds``."""

    at: float
    part: str
    kind: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind} {self.part} for {self.seconds:.1f} s"


def plan(seed: int, minutes: float, spared: frozenset[str] = frozenset()) -> list[Fault]:
    """Return all faults of a run in order. None starts before the previous one has ended.

    ``spared`` components get no faults. The faults of other components do not depend on it.
    """
    chance = random.Random(f"{seed}/faults")
    whole = 60.0 * minutes
    first, late = _deck(chance, SPARING_NOBODY), _deck(chance, ALWAYS)
    found: list[Fault] = []
    at = QUIET_AT_START
    while True:
        deck, table = (first, SPARING_NOBODY) if at < early(minutes) else (late, ALWAYS)
        part, kind = next(deck)
        fault = Fault(round(at, 1), part, kind, round(chance.uniform(*table[part, kind]), 1))
        at += fault.seconds + chance.uniform(*pause(minutes))
        if fault.at + fault.seconds > whole - QUIET_AT_END:
            return [fault for fault in found if fault.part not in spared]
        found.append(fault)


def early(minutes: float) -> float:
    """Seconds in which every replica may be hit."""
    return min(EARLY * 60.0 * minutes, EARLY_SECONDS)


def pause(minutes: float) -> Range:
    """Seconds between two faults: enough for recovery, and only just enough in a short run."""
    return (8.0, 14.0) if minutes < 10 else (15.0, 45.0)


def _deck(chance: random.Random, table: Mapping[Kind, Range]) -> Iterator[Kind]:
    """Yield each kind once in random order, then again in another order, without end."""
    while True:
        cards: Sequence[Kind] = list(table)
        yield from chance.sample(cards, len(cards))
