"""Polls that change nothing are not folded in one by one: the last of them in a row stands for all.

A poll is calm for a rule if it finds the series that the one before it found, none of them has crossed the threshold
or is on its way back from it, and nothing else happens to the rule in between. What comes of it is exactly the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.event import Event
from retrainer.rules.outcome import Decision, Kind, Reason, Sample, Sampled
from retrainer.rules.triggers import gauge
from retrainer.rules.triggers.verdict import Verdict
from retrainer.rules.weigh import threshold
from retrainer.simulate.ranges import ABSENT

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator, Sequence

    from retrainer.engine.catalog import Catalog
    from retrainer.engine.work import Work
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.compile_triggers import CompiledGauge
    from retrainer.rules.state import State
    from retrainer.rules.triggers.gauge import Threshold
    from retrainer.simulate.notes import Notes
    from retrainer.simulate.ranges import Column, Range


class Followed:
    """One metric of a rule, and how far its polls were folded in."""

    def __init__(self, rule: CompiledRule, metric: CompiledGauge, range_: Range, columns: Sequence[Column]) -> None:
        self.rule, self.range, self._gauge, self._columns = rule, range_, metric, columns
        self.unrest = list(_unrest(metric.threshold, columns, range_.count))
        self.next = 0
        self._lasting = metric.threshold.max_age is not None
        """A sample that is too old after a while moves the moment at which the state wants to be woken."""
        self._names = {column.name for column in columns}
        self._passed = False

    def behind(self, before: float) -> bool:
        return self.next < self.range.count and self.range.at(self.next) < before

    def catch_up(self, work: Work, before: float) -> None:
        """Fold in what was found earlier than ``before``; all of it is calm."""
        last = self._last(before)
        if last < self.next:
            return
        state = work.entry(self.rule, "").state
        if not plain(self.rule, state):
            while self.next <= last:
                self._fold(work, self.next)
        elif not self._absorb(work, state, last):
            first, self.next = self.next, last
            self._fold(work, last)
            work.repeated((self.rule.name, ""), last - first, self.range.at(first))

    def settled(self, state: State) -> bool:
        """Whether calm polls change nothing but the values that are known last."""
        known = state.gauges.get(self._gauge.name)
        if known is None or known.quiet or known.trouble or self._lasting or known.series.keys() != self._names:
            return False
        return all(one.live and one.idle for one in known.series.values())

    def pass_over(self, work: Work, notes: Notes, before: float) -> None:
        """Note what the rule says of the calm polls earlier than ``before``; of a gauge that is `settled`."""
        last = self._last(before)
        if last < self.next:
            return
        asked, known = self._gauge.threshold, len(self._columns)
        furthest = (max if asked.high else min)(column.values[last] for column in self._columns)
        said = Verdict(False, Reason.BELOW_THRESHOLD, gauge.in_words(asked, furthest, known, 0, asked.needed(known)))
        first_at = self.range.at(self.next)
        notes.add(work, self._gauge.name, said, self.range.at(last), first_at, last - self.next + 1)
        self.next, self._passed = last + 1, True

    def settle(self, state: State) -> State:
        """The state with the values of the last poll that was passed over."""
        if not self._passed:
            return state
        self._passed = False
        name, last = self._gauge.name, self.next - 1
        asked = threshold(self.rule, name, state)
        moved = gauge.sampled(asked, state.gauges[name], self._samples(last), self.range.at(last), whole=True)
        return state.but(gauges={**state.gauges, name: moved})

    def _last(self, before: float) -> int:
        """The last poll earlier than ``before``, by number."""
        return min(math.ceil((before - self.range.start) / self.range.step), self.range.count) - 1

    def fold(self, work: Work, i: int) -> None:
        """Fold one poll in, the next one."""
        state = work.entry(self.rule, "").state
        if not (plain(self.rule, state) and self._absorb(work, state, i)):
            self._fold(work, i)

    def _fold(self, work: Work, i: int) -> None:
        work.now = self.range.at(i)
        work.take(self.rule.name, "", Sampled(self._gauge.name, self._samples(i), whole=True))
        self.next = i + 1

    def _samples(self, i: int) -> tuple[Sample, ...]:
        at = self.range.at(i)
        found = [(column.name, column.values[i]) for column in self._columns]
        return tuple(Sample(name, None if math.isnan(v) else v, at) for name, v in found if v != ABSENT)

    def _absorb(self, work: Work, state: State, last: int) -> bool:
        """What `step` would come to, without asking all the rest that such a poll does not touch; false if it may."""
        name = self._gauge.name
        asked, known = threshold(self.rule, name, state), state.gauges.get(name)
        if known is None or self._lasting or gauge.next_change(asked, known, 0.0) is not None:
            return False
        work.now = self.range.at(last)
        moved = gauge.sampled(asked, known, self._samples(last), work.now, whole=True)
        verdict = gauge.judge(asked, moved)
        if verdict.reason is not Reason.BELOW_THRESHOLD or gauge.next_change(asked, moved, 0.0) is not None:
            return False
        state = state.but(gauges={**state.gauges, name: moved}, heard_at=work.now)
        said = Decision(Kind.HOLD, verdict.reason, f"{name}: {verdict.detail}", verdict.until)
        more, first_at = last - self.next, self.range.at(self.next)
        work.absorb((self.rule.name, ""), state, said, more, first_at)
        self.next = last + 1
        return True


@dataclass(frozen=True, slots=True)
class Split:
    """Ranges whose polls are followed rule by rule, and those that have to be played poll by poll."""

    followed: tuple[Followed, ...]
    polled: tuple[Range, ...]


def split(catalog: Catalog, ranges: Iterable[Range]) -> Split:
    """Poll by poll: rules with keys or several metrics that are asked for, and samples with a time of their own."""
    followed: list[Followed] = []
    polled: list[Range] = []
    for range_ in ranges:
        poll = catalog.polls.get((range_.source, range_.query))
        metrics = poll.gauges if poll is not None else ()
        if range_.sample_time is not None or any(not _alone(catalog.rules[metric.rule]) for metric in metrics):
            polled.append(range_)
            continue
        followed += [
            Followed(catalog.rules[metric.rule], metric, range_, [c for c in range_.columns if _wants(metric, c)])
            for metric in metrics
        ]
    return Split(tuple(followed), tuple(polled))


def _alone(rule: CompiledRule) -> bool:
    return not rule.per_key and sum(metric.expr is not None for metric in rule.gauges.values()) == 1


def _wants(metric: CompiledGauge, column: Column) -> bool:
    event = Event(metric.source, "", "", 0.0, {"labels": column.labels})
    return all(condition.holds(event) for condition in metric.conditions)


def plain(rule: CompiledRule, state: State) -> bool:
    """Nothing waits to be started, so that a calm poll is answered by what it says itself."""
    return rule.when.condition is None and not rule.when.unless and state.due is None and not state.asked


def _unrest(asked: Threshold, columns: Sequence[Column], count: int) -> Iterator[int]:
    """Polls that are not calm, by number."""
    rough, back = bytearray(count), bytearray(count)
    if not columns:
        rough = bytearray(b"\1") * count
    for column in columns:
        values = column.values
        for i in _loud(asked, values):
            if not math.isfinite(values[i]) or asked.crossed(values[i]):
                rough[i] = 1
            else:
                back[i] = 1
    calm = False
    settled = False
    for i in range(count):
        calm = not rough[i] and (calm or settled)
        settled = not rough[i] and not back[i]
        if not calm:
            yield i


def _loud(asked: Threshold, values: array[float]) -> list[int]:
    """Which values have not cleared the threshold, or are none: few, as a rule."""
    if asked.high:
        return [i for i, value in enumerate(values) if not value <= asked.clear]
    return [i for i, value in enumerate(values) if not asked.clear <= value < ABSENT]
