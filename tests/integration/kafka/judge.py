"""Compares the produced records with the ledger and the runs."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of records: ``lost`` are not in the ledger, ``doubled`` more than once, ``foreign`` were not produced.

    ``in_no_run`` and ``in_two_runs`` are events, as positions in the ledger, relative to the runs of one rule. Events
    after the last run are in its open window and in no run yet. ``sizes`` counts runs by their number of events.
    """

    lost: int
    doubled: int
    foreign: int
    in_no_run: int
    in_two_runs: int
    open_window: int
    sizes: dict[int, int]

    @property
    def wrong(self) -> int:
        return self.lost + self.doubled + self.foreign + self.in_no_run + self.in_two_runs


def judge(query: Callable[[str], list[Any]], produced: set[int]) -> Verdict:
    """Judge the rows that `query` reads from the store. Records are numbered by their field `n`."""
    seen = Counter(json.loads(data)["n"] for (data,) in query("SELECT data FROM events"))
    taken, sizes = _taken(query)
    seqs = {seq for (seq,) in query("SELECT seq FROM inputs")}
    last = max(taken, default=0)
    open_window = sum(seq > last for seq in seqs)
    return Verdict(
        lost=len(produced - set(seen)),
        doubled=sum(times > 1 for times in seen.values()),
        foreign=len(set(seen) - produced),
        in_no_run=len(seqs - set(taken)) - open_window,
        in_two_runs=sum(times > 1 for times in taken.values()),
        open_window=open_window,
        sizes=dict(sizes),
    )


def _taken(query: Callable[[str], list[Any]]) -> tuple[Counter[int], Counter[int]]:
    """The number of runs of each event, and the number of runs of each size."""
    taken: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    inputs = [seq for (seq,) in query("SELECT seq FROM inputs ORDER BY seq")]
    for (window,) in query('SELECT "window" FROM runs'):
        ranges = json.loads(window)["ranges"]
        of_run = [seq for low, high in ranges for seq in inputs[bisect_left(inputs, low) : bisect_right(inputs, high)]]
        taken.update(of_run)
        sizes[len(of_run)] += 1
    return taken, sizes
