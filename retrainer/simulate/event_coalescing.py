"""Coalesce inputs of a rule that have no consequences: they are summed, and folded together before another input.

An event that completes no batch, and a poll with all series clear, lead to the same windows and decisions whether they
are folded one by one or together, if no other input and no wake-up of the rule comes between. Before any other input of
a rule, `Lane.catch_up` must be called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.engine.intake.samples import QUERY
from retrainer.rules.arrival_aggregator import ArrivalAggregator
from retrainer.rules.fold import fold
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
    from retrainer.rules.state import State
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.rules.triggers.kind import Verdict
    from retrainer.simulate.poll_coalescing import FollowedMetric

_NOT_YET = frozenset((Reason.BATCH_INCOMPLETE, Reason.BELOW_THRESHOLD, Reason.FOR_PENDING, Reason.NO_DATA))
"""Reasons of decisions without consequences."""


class _Sum:
    """The events of one trigger of a rule since its state was last written.

    ``settled``: polls may be passed over meanwhile.
    """

    def __init__(self, trigger: CompiledData, state: State, notes: Notes, *, settled: bool) -> None:
        window = state.windows[trigger.name]
        self.trigger, self.notes, self.wake_at, self.settled = trigger, notes, state.wake_at, settled
        self.last_at = 0.0
        self._gathering = ArrivalAggregator(trigger.name, trigger.batch, window)
        self._events, self._bytes, self._rows = window.events, window.bytes, window.rows
        self._first_at = window.first_at

    def judge(self, at: float, size: int, rows: int) -> Verdict:
        """Return the verdict of the trigger with one more event."""
        events = self._events + 1
        window = Window(events, self._bytes + size, self._rows + rows, first_at=self._first_at, last_at=at)
        return data.judge(self.trigger.batch, window, at)

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

    def ready(self, tx: Transaction, trigger: CompiledData, at: float, size: int, rows: int) -> Verdict | None:
        """Return the verdict of the rule for an event of a trigger; None if the event may have other consequences."""
        found = self._sum or self._open(tx, trigger, at)
        if found is None or found.trigger is not trigger or (found.wake_at is not None and at >= found.wake_at):
            return None
        if not found.settled and self._followed is not None and self._followed.behind(at):
            return None
        verdict = found.judge(at, size, rows)
        return verdict if verdict.reason is Reason.BATCH_INCOMPLETE and not verdict.satisfied else None

    def take(self, tx: Transaction, event: Event, seq: int, size: int, rows: int, verdict: Verdict) -> None:
        """Add the event that the lane is `ready` for."""
        found, at = self._sum, tx.now
        assert found is not None  # noqa: S101 - for the type checker; it is ready
        if self._followed is not None:
            self._followed.pass_over(tx, found.notes, at)
        found.notes.add(tx, found.trigger.name, verdict, at, at)
        found.add(at, event, seq, size, rows)
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
        if window is None or not (window.events and window.fresh) or state.lapsed or not plain(self.rule, state):
            return None
        if record is None or record.decision.kind is not Kind.HOLD or record.decision.reason not in _NOT_YET:
            return None
        settled = self._followed is None or self._followed.settled(state)
        self._id = entry.id
        self._sum = _Sum(trigger, state, Notes(self.rule.name, entry, record, self._pages), settled=settled)
        return self._sum

    def _close(self, tx: Transaction) -> None:
        found, self._sum = self._sum, None
        if found is None or not found.last_at:
            return
        state = found.close(self.rule, tx.states.entry(self.rule, "").state)
        if self._followed is not None:
            state = self._followed.settle(state)
        found.notes.close(tx, state)


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
        if event.source in catalog.gauges.sources and any(True for _ in catalog.gauges.candidates(event)):
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
        verdicts = []
        for lane, trigger, size, rows in found:
            verdict = lane.ready(tx, trigger, tx.now, size, rows)
            if verdict is None:
                return False
            verdicts.append(verdict)
        if not found:
            return True  # no rule matches
        seq = tx.writes.number("seq")
        if any(lane.reads_events for lane, *_ in found):
            tx.writes.events.append(event_to_row(seq, tx.now, event, "matched", "[]"))
        for (lane, _, size, rows), verdict in zip(found, verdicts, strict=True):
            lane.take(tx, event, seq, size, rows, verdict)
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
