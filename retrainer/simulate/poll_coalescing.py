"""Coalesce polls that change nothing: of consecutive ones, only the last is folded.

A poll is calm for a rule if each series is in the same position as in the poll before: beyond the threshold, returning,
or clear. Until another input or a wake-up of the rule, calm polls differ only in the reported values. The result is
exactly the same as without coalescing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrainer.event import Event
from retrainer.rules.outcome import Decision, Kind, Reason, Sample, Sampled
from retrainer.rules.triggers import level
from retrainer.rules.triggers.kind import Verdict
from retrainer.simulate.ranges import ABSENT

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Sequence

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.state_cache import Entry
    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State
    from retrainer.rules.threshold_state import ThresholdState
    from retrainer.rules.triggers.level import Threshold
    from retrainer.rules.triggers.threshold import CompiledThreshold
    from retrainer.simulate.notes import Notes
    from retrainer.simulate.ranges import Column, Range

_BACK, _CROSSED, _NONE = 1, 2, 3
"""Positions of values that are not clear: returning, beyond the threshold, no value."""


class FollowedMetric:
    """One metric of a rule, with the number of the next poll to fold."""

    def __init__(self, rule: CompiledRule, metric: CompiledThreshold, range_: Range, columns: Sequence[Column]) -> None:
        self.rule, self.range, self._gauge, self._columns = rule, range_, metric, columns
        self.next = 0
        self._lasting = metric.threshold.max_age is not None
        """With `max_sample_age`, each sample changes the wake-up of the state."""
        self.unrest = list(_unrest(metric.threshold, columns, range_.count))
        self._names = {column.name for column in columns}
        self._passed = self._high = 0

    def behind(self, before: float) -> bool:
        return self.next < self.range.count and self.range.at(self.next) < before

    def catch_up(self, tx: Transaction, before: float) -> None:
        """Fold the polls before ``before``, which are all calm."""
        last = self._last(before)
        if last < self.next:
            return
        if self._lasting and plain(self.rule, tx.states.entry(self.rule, "").state):
            first, self.next = self.next, last
            self._fold(tx, last)
            tx.states.repeated((self.rule.name, ""), last - first, self.range.at(first))
        while self.next <= last:
            if not self._absorb(tx, last):
                self._fold(tx, self.next)

    def settled(self, state: State) -> bool:
        """Whether calm polls change only the last known values."""
        known = state.gauges.get(self._gauge.name)
        if known is None or known.trouble or self._lasting or known.series.keys() != self._names:
            return False
        asked = self._gauge.threshold_of(state)
        self._high = level.raised(known)
        steady = _counted(asked, known) and all(one.live for one in known.series.values())
        return steady and level.judge(asked, known).reason is Reason.BELOW_THRESHOLD

    def pass_over(self, tx: Transaction, notes: Notes, before: float) -> None:
        """Record the decisions for the calm polls before ``before``, for a metric that is `settled`."""
        last = self._last(before)
        if last < self.next:
            return
        asked, known = self._gauge.threshold, len(self._columns)
        furthest = (max if asked.high else min)(column.values[last] for column in self._columns)
        words = level.in_words(asked, furthest, known, self._high, asked.needed(known))
        said = Verdict(False, Reason.BELOW_THRESHOLD, words)
        first_at, count = self.range.at(self.next), last - self.next + 1
        notes.add(tx, self._gauge.name, said, self.range.at(last), first_at, count)
        self.next, self._passed = last + 1, self._passed + count

    def settle(self, state: State) -> State:
        """Return the state with the values of the last poll that was passed over."""
        if not self._passed:
            return state
        name, count, self._passed = self._gauge.name, self._passed, 0
        moved = self._moved(self._gauge.threshold_of(state), state.gauges[name], self.next - 1, count)
        return state.but(gauges={**state.gauges, name: moved})

    def _last(self, before: float) -> int:
        """Return the number of the last poll before ``before``."""
        return min(math.ceil((before - self.range.start) / self.range.step), self.range.count) - 1

    def fold(self, tx: Transaction, i: int) -> None:
        """Fold the poll with number ``i``, which must be the next one."""
        if not self._absorb(tx, i):
            self._fold(tx, i)

    def _fold(self, tx: Transaction, i: int) -> None:
        tx.now = self.range.at(i)
        tx.take(self.rule.name, "", Sampled(self._gauge.name, self._samples(i), whole=True))
        self.next = i + 1

    def _samples(self, i: int) -> tuple[Sample, ...]:
        at = self.range.at(i)
        found = [(column.name, column.values[i]) for column in self._columns]
        return tuple(Sample(name, None if math.isnan(v) else v, at) for name, v in found if v != ABSENT)

    def _absorb(self, tx: Transaction, last: int) -> bool:
        """Apply the result that `step` would have, without evaluating what polls do not affect.

        Covers the polls up to ``last`` at most, of which all but the first are calm. Return False, and change nothing,
        if the result of `step` may differ.
        """
        entry, name = tx.states.entry(self.rule, ""), self._gauge.name
        state, known = entry.state, entry.state.gauges.get(name)
        if known is None or self._lasting or not (plain(self.rule, state) and waits(entry)):
            return False
        last = last if state.wake_at is None else min(last, self._last(state.wake_at))
        asked, count = self._gauge.threshold_of(state), last - self.next + 1
        if count < 1 or (count > 1 and not _counted(asked, known)):
            return False
        moved = self._moved(asked, known, last, count)
        verdict = level.judge(asked, moved)
        if verdict.satisfied or _moments(asked, moved) != _moments(asked, known):
            return False
        tx.now = self.range.at(last)
        state = state.but(gauges={**state.gauges, name: moved}, heard_at=tx.now)
        said = Decision(Kind.HOLD, verdict.reason, f"{name}: {verdict.detail}", verdict.until)
        tx.states.absorb(tx.catalog.rules[self.rule.name], state, said, count - 1, self.range.at(self.next))
        self.next = last + 1
        return True

    def _moved(self, asked: Threshold, known: ThresholdState, last: int, count: int) -> ThresholdState:
        """Return the threshold state after ``count`` polls, all but the first of them calm."""
        moved = level.sampled(asked, known, self._samples(last), self.range.at(last), whole=True)
        if count == 1:
            return moved
        rows = {name: min(one.row + count - 1, level.MAX_ROW) for name, one in moved.series.items() if one.row}
        grown = {name: replace(moved.series[name], row=row) for name, row in rows.items()}
        return replace(moved, series={**moved.series, **grown}) if grown else moved


def waits(entry: Entry) -> bool:
    """Whether the last decision was Hold: with nothing due, no trigger is satisfied then."""
    return entry.record is not None and entry.record.decision.kind is Kind.HOLD


def _counted(asked: Threshold, known: ThresholdState) -> bool:
    """Whether no series needs more consecutive values."""
    return all(not one.row or one.row >= asked.row for one in known.series.values())


def _moments(asked: Threshold, known: ThresholdState) -> tuple[float | None, float | None]:
    """Return the times of a threshold state that determine the wake-up of its rule."""
    return level.next_change(asked, known, 0.0), level.judge(asked, known).until


@dataclass(frozen=True, slots=True)
class Split:
    """Ranges whose polls are coalesced for each rule, and ranges that must be played poll by poll."""

    followed: tuple[FollowedMetric, ...]
    polled: tuple[Range, ...]


def split(catalog: Catalog, ranges: Iterable[Range]) -> Split:
    """Split ranges. Played poll by poll: rules with keys or several queried metrics, and samples with own times."""
    followed: list[FollowedMetric] = []
    polled: list[Range] = []
    for range_ in ranges:
        poll = catalog.polls.get((range_.source, range_.query))
        metrics = poll.gauges if poll is not None else ()
        if range_.sample_time is not None or any(not _alone(catalog.rules[metric.rule]) for metric in metrics):
            polled.append(range_)
            continue
        followed += [
            FollowedMetric(catalog.rules[metric.rule], metric, range_, [c for c in range_.columns if _wants(metric, c)])
            for metric in metrics
        ]
    return Split(tuple(followed), tuple(polled))


def _alone(rule: CompiledRule) -> bool:
    return not rule.per_key and sum(metric.expr is not None for metric in rule.gauges.values()) == 1


def _wants(metric: CompiledThreshold, column: Column) -> bool:
    event = Event(metric.source, "", "", 0.0, {"labels": column.labels})
    return all(condition.holds(event) for condition in metric.conditions)


def plain(rule: CompiledRule, state: State) -> bool:
    """Whether no run waits to be started, so that the verdict of a calm poll is the decision."""
    return rule.when.condition is None and not rule.when.unless and state.due is None and not state.asked


def _unrest(asked: Threshold, columns: Sequence[Column], count: int) -> Iterator[int]:
    """Yield the numbers of polls that are not calm. With `max_sample_age`, only polls with all clear are calm."""
    found = bytearray(count) if columns else bytearray(b"\1") * count
    found[:1] = b"\1"[:count]
    for column in columns:
        values, kinds = column.values, bytearray(count + 1)
        loud = _loud(asked, values)
        for i in loud:
            kinds[i] = _NONE if not math.isfinite(values[i]) else _CROSSED if asked.crossed(values[i]) else _BACK
        for i in loud:
            if kinds[i] != kinds[i - 1] or kinds[i] == _NONE or asked.max_age is not None:
                found[i] = 1
            if kinds[i + 1] != kinds[i] and i + 1 < count:
                found[i + 1] = 1
    return (i for i, rough in enumerate(found) if rough)


def _loud(asked: Threshold, values: array[float]) -> list[int]:
    """Return the indexes of values that are not clear of the threshold, or missing. Usually few."""
    if asked.high:
        return [i for i, value in enumerate(values) if not value <= asked.clear]
    return [i for i, value in enumerate(values) if not asked.clear <= value < ABSENT]
