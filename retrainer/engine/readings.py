"""Values in: what an event says to metric and alert triggers, as inputs of `step`.

An event of a query has all series of one expression: they are shared out to the rules and keys that asked for it, and
who gets none is told so. Any other event is one value, or one alert.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from retrainer.engine.every_key import addressed
from retrainer.engine.letters import dead
from retrainer.engine.matching import too_many
from retrainer.event import Event
from retrainer.rules.compile_triggers import series_name
from retrainer.rules.expression import LONGEST_KEY, name_by
from retrainer.rules.outcome import Sample, Sampled
from retrainer.sources.base import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from retrainer.engine.every_key import Spread
    from retrainer.engine.work import Work
    from retrainer.rules.compile_triggers import CompiledGauge

QUERY = "prometheus.query"
Reading = tuple[tuple[str, str], "Sampled | Spread"]
"""A (rule, key), and what is folded into its state."""


def read(work: Work, event: Event) -> tuple[Sequence[Reading], bool]:
    """What an event says, in the order of the rules that it concerns; and whether any of them could not read it."""
    if event.type == QUERY and event.source in work.catalog.polled:  # anybody can push events of that type
        return list(_polled(work, event)), False
    return pushed(work, event) if event.source in work.catalog.gauges.sources else ((), False)


def pushed(work: Work, event: Event, only: Collection[str] | None = None) -> tuple[list[Reading], bool]:
    """What a value or an alert says; and whether any rule could not read it.

    ``only`` looks at these rules alone, and leaves no dead letters: the event has been here before.
    """
    readings: list[Reading] = []
    failed = False
    for gauge in work.catalog.gauges.candidates(event):
        if only is not None and gauge.rule not in only:
            continue
        try:
            key, sample = _key(gauge, event), gauge.sample(event)
        except ValueError as error:
            if only is None:
                dead(work, event, "raised", str(error), gauge.rule)
            failed = True
            continue
        if key and too_many(work, (gauge.rule, key)):
            if only is None:
                dead(work, event, "too_many_keys", f"key {key!r} is one more than max_keys", gauge.rule)
            failed = True
            continue
        readings += _addressed(work, gauge, key, Sampled(gauge.name, (sample,)), at_once=only is not None)
    return readings, failed


def _polled(work: Work, event: Event) -> Iterator[Reading]:
    query = Query(str(event.data.get("expr")), event.data.get("sample_time") or None)
    poll = work.catalog.polls.get((event.source, query))
    if poll is None:
        return
    trouble = str(event.data.get("error") or "")
    found: dict[tuple[str, str], dict[str, list[Sample]]] = {
        (gauge.rule, gauge.name): defaultdict(list) for gauge in poll.gauges
    }
    before = {(gauge.rule, gauge.name): _followed(work, gauge) for gauge in poll.gauges}
    room = {gauge.rule: _Room(work, gauge.rule) for gauge in poll.gauges}
    for series in event.data.get("series") or ():
        one = Event(event.source, event.id, event.type, event.time, series)
        labels = series["labels"]
        sample = Sample(series_name("", labels), series["value"], series["time"])
        for gauge in poll.index.candidates(one):
            key = _key_of_series(gauge, one)
            where = gauge.rule, gauge.name
            if key is not None and (not key or key in before[where] or room[gauge.rule].has(key)):
                found[where][key].append(sample)
    for gauge in poll.gauges:
        where = gauge.rule, gauge.name
        if gauge.by is not None:
            work.polled[where] = set(found[where])
        for key in sorted(found[where].keys() | before[where]):
            samples = tuple(found[where].get(key, ()))
            yield from _addressed(work, gauge, key, Sampled(gauge.name, samples, whole=True, trouble=trouble))


def _key(gauge: CompiledGauge, event: Event) -> str:
    return name_by(gauge.by, event, LONGEST_KEY, "a key") if gauge.by is not None else ""


class _Room:
    """Which keys of a rule may have a state, with those that this very poll brings. The next poll says them again."""

    def __init__(self, work: Work, rule: str) -> None:
        self._work, self._rule = work, rule
        self._known: Collection[str] | None = None
        self._new: set[str] = set()

    def has(self, key: str) -> bool:
        if self._known is None:  # read in one go: each of a first poll's thousands of keys is asked for
            self._known = frozenset(self._work.live_keys(self._rule))
        if key in self._known or key in self._new or (self._rule, key) in self._work.changed:
            return True
        for_each = self._work.catalog.rules[self._rule].rule.for_each
        if for_each is not None and self._work.keys(self._rule) + len(self._new) >= for_each.max_keys:
            return False
        self._new.add(key)
        return True


def _key_of_series(gauge: CompiledGauge, one: Event) -> str | None:
    """The key of a series; None if it has none."""
    try:
        return _key(gauge, one)
    except ValueError:
        return None


def _followed(work: Work, gauge: CompiledGauge) -> Collection[str]:
    """Keys that had series of this trigger in the last poll; before the first poll all keys of the rule."""
    if gauge.by is None:
        return {""}
    known = work.polled.get((gauge.rule, gauge.name))
    return set(work.live_keys(gauge.rule)) if known is None else known


def _addressed(work: Work, gauge: CompiledGauge, key: str, sampled: Sampled, *, at_once: bool = False) -> list[Reading]:
    """A value without a key of its own speaks for every live key; of a replay each key is asked ``at_once``."""
    if gauge.by is not None or not work.catalog.rules[gauge.rule].per_key:
        return [((gauge.rule, key), sampled)]
    if at_once:
        return [((gauge.rule, each), sampled) for each in work.live_keys(gauge.rule)]
    return [((gauge.rule, each), given) for each, given in addressed(work, gauge.rule, sampled)]
