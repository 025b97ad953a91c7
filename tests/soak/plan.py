"""Which faults happen when: a pure function of the seed and the minutes, so that a run can be repeated.

The first fifth of a run spares nobody: whoever has the lead is killed, frozen and cut off for longer than its lease.
From then on `a` only meets what it has to outlive: the growth of a process can be measured over its own life alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Kind = tuple[str, str]
"""A part and what happens to it."""
Range = tuple[float, float]
"""Seconds, at least and at most."""

EARLY, EARLY_SECONDS = 0.2, 450.0
"""The share of a run in which `a` may be killed, and the most of it: then it has some minutes to warm up."""
QUIET_AT_START, QUIET_AT_END = 10.0, 25.0
"""Seconds without faults: the first events come in, the last ones are settled."""
LONGEST = 20.0
"""Seconds that a fault lasts at most."""

# A lease lasts ten seconds: the long ones of these let the other daemon take over, and the victim ends.
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
"""Parts that others on the same cluster would miss."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a part, ``at`` so many seconds after the load began, for so many ``seconds``."""

    at: float
    part: str
    kind: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.kind} {self.part} for {self.seconds:.1f} s"


def plan(seed: int, minutes: float, spared: frozenset[str] = frozenset()) -> list[Fault]:
    """All faults of a run, in order; none of them begins before the one before it has ended.

    ``spared`` are parts that nothing is to happen to; the others meet what they would have met in any case.
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
    """Seconds in which nobody is spared."""
    return min(EARLY * 60.0 * minutes, EARLY_SECONDS)


def pause(minutes: float) -> Range:
    """Seconds between two faults: long enough for all to recover, in a short run just so."""
    return (8.0, 14.0) if minutes < 10 else (15.0, 45.0)


def _deck(chance: random.Random, table: Mapping[Kind, Range]) -> Iterator[Kind]:
    """Each kind once, in a random order, and then all over again."""
    while True:
        cards: Sequence[Kind] = list(table)
        yield from chance.sample(cards, len(cards))
