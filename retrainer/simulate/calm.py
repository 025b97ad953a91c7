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
from retrainer.rules.weigh import threshold
from retrainer.simulate.ranges import ABSENT
from retrainer.sources.base import Query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from retrainer.engine.catalog import Catalog
    from retrainer.engine.work import Work
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.compile_triggers import CompiledGauge
    from retrainer.rules.state import State
    from retrainer.rules.triggers.gauge import Threshold
    from retrainer.simulate.ranges import Column, Range


class Followed:
    """One metric of a rule, and how far its polls were folded in."""

    def __init__(self, rule: CompiledRule, metric: CompiledGauge, range_: Range, columns: Sequence[Column]) -> None:
        self.rule, self.range, self._gauge, self._columns = rule, range_, metric, columns
        self.unrest = list(_unrest(metric.threshold, columns, range_.count))
        self.next = 0
        self._lasting = metric.threshold.max_age is not None
        """A sample that is too old after a while moves the moment at which the state wants to be woken."""

    def behind(self, before: float) -> bool:
        return self.next < self.range.count and self.range.at(self.next) < before

    def catch_up(self, work: Work, before: float) -> None:
        """Fold in what was found earlier than ``before``; all of it is calm."""
        last = min(math.ceil((before - self.range.start) / self.range.step), self.range.count) - 1
        if last < self.next:
            return
        state = work.entry(self.rule, "").state
        if not _plain(self.rule, state):
            while self.next <= last:
                self.fold(work, self.next)
        elif self._lasting or not self._absorb(work, state, last):
            first, self.next = self.next, last
            self.fold(work, last)
            work.repeated((self.rule.name, ""), last - first, self.range.at(first))

    def fold(self, work: Work, i: int) -> None:
        """Fold one poll in."""
        work.now = self.range.at(i)
        work.take(self.rule.name, "", Sampled(self._gauge.name, self._samples(i), whole=True))
        self.next = i + 1

    def _samples(self, i: int) -> tuple[Sample, ...]:
        at = self.range.at(i)
        found = [(column.name, column.values[i]) for column in self._columns]
        return tuple(Sample(name, None if math.isnan(v) else v, at) for name, v in found if v != ABSENT)

    def _absorb(self, work: Work, state: State, last: int) -> bool:
        """What `step` would come to, without asking all the rest that a calm poll does not touch; false if it does."""
        name = self._gauge.name
        asked, known = threshold(self.rule, name, state), state.gauges.get(name)
        if known is None:
            return False
        work.now = self.range.at(last)
        moved = gauge.sampled(asked, known, self._samples(last), work.now, whole=True)
        verdict = gauge.judge(asked, moved)
        if verdict.reason is not Reason.BELOW_THRESHOLD:
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
    """A rule with keys, or with several metrics that are asked for, is played poll by poll."""
    followed: list[Followed] = []
    polled: list[Range] = []
    for range_ in ranges:
        poll = catalog.polls.get((range_.source, Query(range_.expr)))
        metrics = poll.gauges if poll is not None else ()
        if any(not _alone(catalog.rules[metric.rule]) for metric in metrics):
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


def _plain(rule: CompiledRule, state: State) -> bool:
    """Nothing waits to be started, so that a calm poll is answered by what it says itself."""
    return rule.when.condition is None and not rule.when.unless and state.due is None and state.asked is None


def _unrest(asked: Threshold, columns: Sequence[Column], count: int) -> Iterator[int]:
    """Polls that are not calm, by number."""
    rough, back = bytearray(count), bytearray(count)
    if not columns:
        rough = bytearray(b"\1") * count
    for column in columns:
        for i, value in enumerate(column.values):
            if not math.isfinite(value) or asked.crossed(value):
                rough[i] = 1
            elif not asked.cleared(value):
                back[i] = 1
    calm = False
    settled = False
    for i in range(count):
        calm = not rough[i] and (calm or settled)
        settled = not rough[i] and not back[i]
        if not calm:
            yield i
