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
from retrainer.rules.window import Window, WindowDelta

if TYPE_CHECKING:
    from retrainer.config.models import Batch
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State

Single = tuple[int, float, str, int, int, str, int]
"""An arrival of one event: seq, time, label, size, rows, partition, offset."""


class ArrivalAggregator:
    """Arrivals for one trigger of one (rule, key) since the last `step`.

    ``absorbed`` counts the arrivals that need no `step`.
    """

    __slots__ = (
        "_bytes",
        "_bytes_left",
        "_came",
        "_events_left",
        "_last",
        "_rows",
        "_rows_left",
        "absorbed",
        "trigger",
    )

    def __init__(self, trigger: str, batch: Batch, window: Window) -> None:
        self.trigger = trigger
        self.absorbed = 0
        self._came: WindowDelta | None = None
        self._last: Single | None = None
        self._bytes = self._rows = 0
        self._events_left = self._bytes_left = self._rows_left = inf
        if batch.at_least is not None and not reached(batch, window):
            self._events_left = batch.at_least.events - window.events if batch.at_least.events else inf
            self._bytes_left = batch.at_least.bytes - window.bytes if batch.at_least.bytes else inf
            self._rows_left = batch.at_least.rows - window.rows if batch.at_least.rows else inf

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
        size, rows = self._bytes + single[3], self._rows + single[4]
        last = self._last
        waiting = self.absorbed + (2 if last is not None else 1)
        if waiting >= self._events_left or size >= self._bytes_left or rows >= self._rows_left:
            return False
        if last is not None:
            self._absorb(last)
        self._bytes, self._rows, self._last = size, rows, single
        return True

    def close(self, state: State, now: float) -> tuple[State, Arrived | None]:
        """Return the state before the last arrival, and that arrival; None if there was none."""
        came = self._came
        if came is not None:
            windows = {**state.windows, self.trigger: state.windows[self.trigger].add(came, now, state.taken_hi)}
            state = replace(state, window=state.window.add(came, now, state.taken_hi), windows=windows)
        if self._last is None:
            return state, None
        seq, time, label, size, rows, part, offset = self._last
        counted = (1, size, rows)
        return state, Arrived(seq, time, label, {self.trigger: counted}, counted, part, offset)

    def _absorb(self, single: Single) -> None:
        seq, time, label, size, rows, part, offset = single
        self.absorbed += 1
        came = self._came
        if came is None:
            self._came = WindowDelta(
                1, size, rows, time, time, label, label, seq, seq, {part: (offset, offset)} if part else {}
            )
            return
        came.events += 1
        came.bytes += size
        came.rows += rows
        if time < came.start:
            came.start = time
        elif time > came.end:
            came.end = time
        came.last_key = label
        came.last = seq
        if part:
            known = came.parts.get(part)
            if known is None:
                came.parts[part] = (offset, offset)
            else:
                came.parts[part] = (min(known[0], offset), max(known[1], offset))
