"""Sum up arrivals that only add to the pending data, until one may lead to another decision.

Within one transaction `now` is constant. After an arrival that led to a hold, the next one of the same trigger can lead
to another decision only if it completes the batch. Until then `step` would add it to the windows and repeat the same
decision with other numbers. So the aggregator adds the arrivals up and passes only the last one to `step`. The result
is exactly that of the single steps (a property test compares them), at a tenth of the cost.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from retrainer.rules.outcome import Arrived, Kind, Step
from retrainer.rules.triggers.data import reached
from retrainer.rules.window import NOTHING, Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from retrainer.config.models import Batch
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State

Single = tuple[int, float, str, int, int, str, int]
"""An arrival of one event: seq, time, label, size, rows, partition, offset."""


MOST_KEPT = 1000
"""Arrivals that are kept individually."""


class ArrivalAggregator:
    """Arrivals for one trigger of one (rule, key) since the last `step`.

    ``absorbed`` counts the arrivals that need no `step`, once the aggregator is closed.
    """

    __slots__ = (
        "_arrivals",
        "_bytes",
        "_bytes_left",
        "_events_left",
        "_room",
        "_rows",
        "_rows_left",
        "_sized",
        "_window",
        "absorbed",
        "trigger",
    )

    def __init__(self, trigger: str, batch: Batch, window: Window) -> None:
        self.trigger = trigger
        self.absorbed = 0
        self._window = NOTHING
        self._arrivals: list[Single] = []
        self._bytes = self._rows = 0
        self._events_left = self._bytes_left = self._rows_left = inf
        if batch.at_least is not None and not reached(batch, window):
            self._events_left = batch.at_least.events - window.events if batch.at_least.events else inf
            self._bytes_left = batch.at_least.bytes - window.bytes if batch.at_least.bytes else inf
            self._rows_left = batch.at_least.rows - window.rows if batch.at_least.rows else inf
        self._sized = self._bytes_left < inf or self._rows_left < inf
        self._room = min(MOST_KEPT, self._events_left - 1)
        """Number of arrivals that can be kept before `_absorb`, or before the batch may be complete."""

    @classmethod
    def after(cls, rule: CompiledRule, state: State, given: Arrived, done: Step) -> ArrivalAggregator | None:
        """An aggregator for the arrivals after `given`; None if the next arrival may lead to another decision."""
        decided = done.decisions
        if len(given.counts) != 1 or len(decided) != 1 or decided[0].kind is not Kind.HOLD:
            return None
        if done.slots or done.stop or done.fan_out:
            return None
        (trigger,) = given.counts
        return cls(trigger, rule.data[trigger].batch, state.windows[trigger])

    def take(self, single: Single) -> bool:
        """Add one event. Return false, and add nothing, if it may complete the batch."""
        if len(self._arrivals) >= self._room and not self._has_room():
            return False
        if self._sized:
            size, rows = self._bytes + single[3], self._rows + single[4]
            if size >= self._bytes_left or rows >= self._rows_left:
                return False
            self._bytes, self._rows = size, rows
        self._arrivals.append(single)
        return True

    def _has_room(self) -> bool:
        if self.absorbed + len(self._arrivals) + 1 >= self._events_left:
            return False
        self._absorb()
        self._room = min(MOST_KEPT, self._events_left - 1 - self.absorbed)
        return True

    def close(self, state: State, now: float) -> tuple[State, Arrived | None]:
        """Return the state before the last arrival, and that arrival; None if there was none."""
        if not self._arrivals:
            return state, None
        seq, time, label, size, rows, part, offset = self._arrivals.pop()
        self._absorb()
        if self.absorbed:
            came = replace(self._window, first_at=now, last_at=now)
            windows = {**state.windows, self.trigger: state.windows[self.trigger].add(came, state.taken_hi)}
            state = replace(state, window=state.window.add(came, state.taken_hi), windows=windows)
        counted = (1, size, rows)
        return state, Arrived(seq, time, label, {self.trigger: counted}, counted, part, offset)

    def _absorb(self) -> None:
        if self._arrivals:
            self._window = self._window.add(_window(self._arrivals), 0)
            self.absorbed += len(self._arrivals)
            self._arrivals = []


def _window(arrivals: Sequence[Single]) -> Window:
    """The window that has these events, in their order, without the time of their arrival."""
    seqs, times, labels, sizes, rows, parts, offsets = zip(*arrivals, strict=True)
    return Window(
        events=len(arrivals),
        bytes=sum(sizes),
        rows=sum(rows),
        start=min(times),
        end=max(times),
        first_key=labels[0],
        last_key=labels[-1],
        ranges=((seqs[0], seqs[-1]),),
        parts={part: _ends(part, parts, offsets) for part in dict.fromkeys(parts) if part},
    )


def _ends(wanted: str, parts: Sequence[str], offsets: Sequence[int]) -> tuple[int, int]:
    """The lowest and highest offset of a partition."""
    found = [offset for part, offset in zip(parts, offsets, strict=True) if part == wanted]
    return min(found), max(found)
