"""Intake of values: convert an event to inputs of `step` for metric and alert triggers.

A query event holds all series of one expression. They are distributed to the rules and keys that use the query; a key
without series receives an empty input. Any other event is one value or one alert.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING

from retrainer.engine.core.containment import one_by_one
from retrainer.engine.intake.dead_letters import Refusals
from retrainer.engine.intake.matching import too_many
from retrainer.engine.schedules.every_key import addressed
from retrainer.event import Event
from retrainer.rules.expression import LONGEST_KEY, StepBudget, name_by
from retrainer.rules.outcome import Sample, Sampled
from retrainer.rules.triggers.threshold import CompiledThreshold, series_name
from retrainer.sources.base import Query

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.schedules.spread import Reading

    _Series = Mapping[tuple[str, str], Sequence[tuple[Event, Sample]]]
    """The series of each (rule, trigger), each as an event and as a sample."""

QUERY = "prometheus.query"


def read(tx: Transaction, event: Event) -> tuple[Sequence[Reading], bool]:
    """Return the readings of an event, in the order of its rules, and whether any rule failed to read it."""
    if event.type == QUERY and event.source in tx.catalog.polled:  # any client can push events of that type
        return _polled(tx, event)
    return pushed(tx, event) if event.source in tx.catalog.gauges.sources else ((), False)


def pushed(tx: Transaction, event: Event, only: Collection[str] | None = None) -> tuple[list[Reading], bool]:
    """Return the readings of a pushed value or alert, and whether any rule failed to read it.

    With ``only``, only these rules are read and no dead letters are written: the event was processed before.
    """
    read = _Read(tx, event, emit=only is None)
    found = tx.catalog.gauges.candidates(event)
    one_by_one(tx, found if only is None else (gauge for gauge in found if gauge.rule in only), read.at, read.raised)
    return read.readings, read.failed


def _polled(tx: Transaction, event: Event) -> tuple[list[Reading], bool]:
    query = Query(str(event.data.get("expr")), event.data.get("sample_time") or None)
    poll = tx.catalog.polls.get((event.source, query))
    if poll is None:
        return [], False
    found: dict[tuple[str, str], list[tuple[Event, Sample]]] = defaultdict(list)
    for series in event.data.get("series") or ():
        one = Event(event.source, event.id, event.type, event.time, series)
        labels = series["labels"]
        sample = Sample(series_name("", labels), series["value"], series["time"])
        for gauge in poll.index.candidates(one):
            found[gauge.rule, gauge.name].append((one, sample))
    read = _Read(tx, event, emit=True)
    one_by_one(tx, poll.gauges, partial(read.series, found), read.raised)
    return read.readings, read.failed


class _Read(Refusals):
    """Reads one event for metric and alert triggers: ``readings``, and ``failed`` if a trigger failed to read it."""

    def __init__(self, tx: Transaction, event: Event, *, emit: bool) -> None:
        super().__init__(tx, event, emit=emit)
        self.readings: list[Reading] = []
        self._rooms: dict[str, _Room] = {}
        self._step_budget = StepBudget()

    def at(self, gauges: Iterable[CompiledThreshold]) -> None:
        """Read one value or one alert."""
        for gauge in gauges:
            try:
                key, sample = _key(gauge, self._event, self._step_budget), gauge.sample(self._event, self._step_budget)
            except ValueError as error:
                self._fail(gauge, "raised", str(error))
                continue
            if key and too_many(self._tx, (gauge.rule, key)):
                self._too_many_keys(gauge, key)
                continue
            sampled = Sampled(gauge.name, (sample,))
            self.readings += _addressed(self._tx, gauge, key, sampled, at_once=not self._emit)

    def series(self, found: _Series, gauges: Iterable[CompiledThreshold]) -> None:
        """Read all series of a query, grouped by key for each trigger."""
        trouble = str(self._event.data.get("error") or "")
        for gauge in gauges:
            where = gauge.rule, gauge.name
            before, room = _followed(self._tx, gauge), self._room(gauge.rule)
            by_key: dict[str, list[Sample]] = defaultdict(list)
            for one, sample in found.get(where, ()):
                key = _key_of_series(gauge, one)
                if key is not None and (not key or key in before or room.has(key)):
                    by_key[key].append(sample)
            if gauge.by is not None:
                self._tx.polled[where] = set(by_key)
            readings: list[Reading] = []
            for key in sorted(by_key.keys() | before):
                sampled = Sampled(gauge.name, tuple(by_key.get(key, ())), whole=True, trouble=trouble)
                readings += _addressed(self._tx, gauge, key, sampled)
            self.readings += readings

    def _room(self, rule: str) -> _Room:
        """Return the `_Room` of a rule, shared by its triggers."""
        return self._rooms.setdefault(rule, _Room(self._tx, rule))


def _key(gauge: CompiledThreshold, event: Event, balance: StepBudget | None = None) -> str:
    return name_by(gauge.by, event, LONGEST_KEY, "a key", balance=balance) if gauge.by is not None else ""


class _Room:
    """Enforces `max_keys` of a rule, counting new keys of this poll. A rejected key may pass in the next poll."""

    def __init__(self, tx: Transaction, rule: str) -> None:
        self._tx, self._rule = tx, rule
        self._known: Collection[str] | None = None
        self._new: set[str] = set()

    def has(self, key: str) -> bool:
        if self._known is None:  # one read: a first poll may look up thousands of keys
            self._known = frozenset(self._tx.states.live_keys(self._rule))
        if key in self._known or key in self._new or (self._rule, key) in self._tx.states.changed:
            return True
        for_each = self._tx.catalog.rules[self._rule].rule.for_each
        if for_each is not None and self._tx.states.keys(self._rule) + len(self._new) >= for_each.max_keys:
            return False
        self._new.add(key)
        return True


def _key_of_series(gauge: CompiledThreshold, one: Event) -> str | None:
    """Return the key of a series, or None if it has none."""
    try:
        return _key(gauge, one)
    except ValueError:
        return None


def _followed(tx: Transaction, gauge: CompiledThreshold) -> Collection[str]:
    """Return the keys with series of this trigger in the last poll; before the first poll, all keys of the rule."""
    if gauge.by is None:
        return {""}
    known = tx.polled.get((gauge.rule, gauge.name))
    return set(tx.states.live_keys(gauge.rule)) if known is None else known


def _addressed(
    tx: Transaction, gauge: CompiledThreshold, key: str, sampled: Sampled, *, at_once: bool = False
) -> list[Reading]:
    """Return readings for the keys of a value. A value without a key applies to every live key of the rule.

    ``at_once`` (replays): one reading for each key, instead of a spread over several transactions.
    """
    if gauge.by is not None or not tx.catalog.rules[gauge.rule].per_key:
        return [((gauge.rule, key), sampled)]
    if at_once:
        return [((gauge.rule, each), sampled) for each in tx.states.live_keys(gauge.rule)]
    return [((gauge.rule, each), given) for each, given in addressed(tx, gauge.rule, sampled)]
