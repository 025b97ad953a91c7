"""Coalesce inputs of a rule that have no consequences: they are summed, and folded together before another input.

An event that completes no batch, and a poll with all series clear, lead to the same windows and decisions whether they
are folded one by one or together, if no other input and no wake-up of the rule comes between. Before any other input of
a rule, `Lane.catch_up` must be called.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from retrainer.engine.intake.samples import QUERY
from retrainer.rules.arrival_aggregator import ArrivalAggregator
from retrainer.rules.fold import fold
from retrainer.rules.limits import blocking_limit
from retrainer.rules.outcome import Kind, Reason
from retrainer.rules.self_trigger import run_of
from retrainer.rules.triggers import data
from retrainer.rules.window import Window
from retrainer.simulate.notes import Notes, Pages
from retrainer.simulate.poll_coalescing import plain
from retrainer.store.rows import event_to_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from retrainer.engine.core.catalog import Catalog
    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Decision
    from retrainer.rules.state import State
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.simulate.poll_coalescing import FollowedMetric

_NOT_YET = frozenset((Reason.BATCH_INCOMPLETE, Reason.BELOW_THRESHOLD, Reason.FOR_PENDING, Reason.NO_DATA))
"""Reasons of decisions without consequences."""
_HELD = frozenset((Reason.COOLDOWN, Reason.OVERLAP, Reason.PAUSED, Reason.CIRCUIT_OPEN))
"""Reasons to hold a rule that is due, until its next wake-up or another input. More data changes none of them."""


class _Sum:
    """The events of one trigger of a rule since its state was last written.

    ``settled``: polls may be passed over meanwhile. ``held``: the rule is due, so that the decision stays what it is.
    """

    def __init__(self, trigger: CompiledData, state: State, notes: Notes, *, settled: bool, held: bool) -> None:
        window = state.windows[trigger.name]
        self.trigger, self.notes, self.wake_at, self.settled = trigger, notes, state.wake_at, settled
        self.held = held
        self.last_at = 0.0
        self._gathering = ArrivalAggregator(trigger.name, trigger.batch, window)
        self._events, self._bytes, self._rows = window.events, window.bytes, window.rows
        self._first_at = window.first_at
        needed = trigger.batch.at_least
        self._most = [getattr(needed, unit, None) or math.inf for unit in ("events", "bytes", "rows")]
        self._unnoted = 0

    def has_room(self, size: int, rows: int) -> bool:
        """Whether the batch stays incomplete with one more event."""
        events, size_needed, rows_needed = self._most
        return self._events + 1 < events and self._bytes + size < size_needed and self._rows + rows < rows_needed

    def waits(self, at: float) -> bool:
        """Whether the trigger waits for more events only, before the first one is added."""
        verdict = data.judge(self.trigger.batch, self._window(at), at)
        return verdict.reason is Reason.BATCH_INCOMPLETE and not verdict.satisfied

    def note(self, tx: Transaction, at: float) -> None:
        """Record the decision for the event that was just added."""
        if self.held:
            self.notes.repeat(at)
        elif self.notes.reason is Reason.BATCH_INCOMPLETE:
            self._unnoted += 1
        else:
            self._unnoted = 1
            self.write_notes(tx)

    def write_notes(self, tx: Transaction) -> None:
        """Record the decisions for the events since the last one that was recorded. Only the last words are kept."""
        if self._unnoted:
            at = self.last_at
            verdict = data.judge(self.trigger.batch, self._window(at), at)
            self.notes.add(tx, self.trigger.name, verdict, at, at, self._unnoted)
            self._unnoted = 0

    def _window(self, at: float) -> Window:
        return Window(self._events, self._bytes, self._rows, first_at=self._first_at, last_at=at)

    def add(self, at: float, event: Event, seq: int, size: int, rows: int) -> None:
        self._events, self._bytes, self._rows = self._events + 1, self._bytes + size, self._rows + rows
        self.last_at = at
        self._gathering.take((seq, event.time, event.label, size, rows, *event.place))

    def close(self, rule: CompiledRule, state: State) -> State:
        state, last = self._gathering.close(state, self.last_at)
        return fold(rule, state, last, self.last_at)[0] if last is not None else state


class Lane:
    """A rule without keys, and its metric if the polls of one are coalesced."""

    def __init__(self, rule: CompiledRule, followed: FollowedMetric | None, pages: Pages) -> None:
        self.rule, self._followed, self._pages = rule, followed, pages
        self.reads_events = any("events" in text.variables for text in rule.parameters.values())
        self._sum: _Sum | None = None
        self._id = 0

    def behind(self, before: float) -> bool:
        """Whether inputs before ``before`` are still to be folded."""
        return self._sum is not None or (self._followed is not None and self._followed.behind(before))

    def catch_up(self, tx: Transaction, before: float) -> None:
        """Fold all inputs before ``before``."""
        self._close(tx)
        if self._followed is not None:
            self._followed.catch_up(tx, before)

    def ready(self, tx: Transaction, trigger: CompiledData, at: float, size: int, rows: int) -> bool:
        """Whether an event of a trigger changes nothing but pending data."""
        found = self._sum or self._open(tx, trigger, at)
        if found is None or found.trigger is not trigger or (found.wake_at is not None and at >= found.wake_at):
            return False
        if not found.settled and self._followed is not None and self._followed.behind(at):
            return False
        return found.has_room(size, rows)

    def take(self, tx: Transaction, event: Event, seq: int, size: int, rows: int) -> None:
        """Add the event that the lane is `ready` for."""
        found, at = self._sum, tx.now
        assert found is not None  # noqa: S101 - for the type checker; it is ready
        if self._followed is not None and self._followed.behind(at):
            found.write_notes(tx)
            self._followed.pass_over(tx, found.notes, at)
        found.add(at, event, seq, size, rows)
        found.note(tx, at)
        if self.reads_events:
            tx.writes.inputs.append((self._id, seq))

    def _open(self, tx: Transaction, trigger: CompiledData, at: float) -> _Sum | None:
        """Start a sum if possible: the rule must be waiting only for more events, or for a later time."""
        if self._followed is not None:
            now = tx.now
            self._followed.catch_up(tx, at)
            tx.now = now
        entry = tx.states.entry(self.rule, "")
        state, record = entry.state, entry.record
        window = state.windows.get(trigger.name)
        if window is None or not (window.events and window.fresh) or state.lapsed or record is None:
            return None
        if record.decision.kind is not Kind.HOLD:
            return None
        held = _held(tx.catalog.rules[self.rule.name], state, record.decision, at)
        if not held and not (record.decision.reason in _NOT_YET and plain(self.rule, state)):
            return None
        settled = self._followed is None or (not held and self._followed.settled(state))
        found = _Sum(trigger, state, Notes(self.rule.name, entry, record, self._pages), settled=settled, held=held)
        if not found.waits(at):
            return None
        self._id, self._sum = entry.id, found
        return found

    def _close(self, tx: Transaction) -> None:
        found, self._sum = self._sum, None
        if found is None or not found.last_at:
            return
        found.write_notes(tx)
        state = found.close(self.rule, tx.states.entry(self.rule, "").state)
        if self._followed is not None:
            state = self._followed.settle(state)
        found.notes.close(tx, state)


def _held(rule: CompiledRule, state: State, last: Decision, at: float) -> bool:
    """Whether a rule that is due gets its last decision again for more data."""
    if state.due is None or last.reason not in _HELD or not plain(rule, state.but(due=None)):
        return False
    same = blocking_limit(rule, state, at, {})
    return same is not None and same == last


class EventCoalescer:
    """All lanes of a catalog, by rule. Rules with keys have no lane."""

    def __init__(self, catalog: Catalog, followed: Iterable[FollowedMetric]) -> None:
        self.pages = Pages()
        mine = {one.rule.name: one for one in followed}
        self.of: Mapping[str, Lane] = {
            name: Lane(rule, mine.get(name), self.pages) for name, rule in catalog.rules.items() if not rule.per_key
        }

    def take(self, tx: Transaction, event: Event) -> bool:
        """Take an event without consequences, now. Return False, and do nothing, if the event must be folded."""
        catalog = tx.catalog
        if event.type == QUERY or run_of(event):
            return False
        if event.source in catalog.gauges.sources and next(catalog.gauges.candidates(event), None) is not None:
            return False
        found = []
        for trigger in catalog.index.candidates(event):
            lane = self.of.get(trigger.rule)
            if lane is None or trigger.distinct is not None or trigger.own.places:
                return False
            try:
                if trigger.wants(event):
                    found.append((lane, trigger, *trigger.measure(event)))
            except ValueError:
                return False
        if len(found) > 1 and len({lane.rule.name for lane, *_ in found}) < len(found):
            return False
        return self._hand_out(tx, event, found)

    def _hand_out(self, tx: Transaction, event: Event, found: list[tuple[Lane, CompiledData, int, int]]) -> bool:
        for lane, trigger, size, rows in found:
            if not lane.ready(tx, trigger, tx.now, size, rows):
                return False
        if not found:
            return True  # no rule matches
        seq = tx.writes.number("seq")
        if any(lane.reads_events for lane, *_ in found):
            tx.writes.events.append(event_to_row(seq, tx.now, event, "matched", "[]"))
        for lane, _, size, rows in found:
            lane.take(tx, event, seq, size, rows)
        return True

    def wanting(self, catalog: Catalog, event: Event) -> Iterator[str]:
        """Yield the rules that an event may concern."""
        for trigger in catalog.index.candidates(event):
            yield trigger.rule
        for gauge in catalog.gauges.candidates(event):
            yield gauge.rule
        if event.type == QUERY:
            for (source, _), poll in catalog.polls.items():
                if source == event.source:
                    yield from (gauge.rule for gauge in poll.gauges)

    def catch_up(self, tx: Transaction, rules: Iterable[str], before: float) -> None:
        """Fold the inputs of these rules before ``before``. ``tx.now`` is restored."""
        now = tx.now
        for name in rules:
            lane = self.of.get(name)
            if lane is not None:
                lane.catch_up(tx, before)
        tx.now = now

    def behind(self, rules: Iterable[str], before: float) -> list[str]:
        """Return those of the rules with inputs before ``before`` that are still to be folded."""
        return [name for name in rules if (lane := self.of.get(name)) is not None and lane.behind(before)]
