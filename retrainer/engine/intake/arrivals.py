"""Fold events into states. Consecutive events that only add up are aggregated and folded as one input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from retrainer.engine.core.containment import contained
from retrainer.engine.core.notifications import DecisionMade
from retrainer.rules.arrival_aggregator import ArrivalAggregator, Single
from retrainer.store import event_statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.outcome import Arrived

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Taken:
    """An event being folded. ``raised`` is called with the name of a rule that raises on it, and the error."""

    item: Event
    seq: int
    raised: Callable[[str, Exception], None]

    def take_back(self, tx: Transaction, where: tuple[str, str], state: int, error: Exception) -> None:
        """The rule raised: the event does not count for this (rule, key). ``state``: the id of its state, or -1."""
        tx.writes.flush_inputs()
        event_statements.take_back_input(tx.conn, state, where, self.seq)
        self.raised(where[0], error)


class Arrivals:
    """The aggregators of one transaction, by (rule, key). Each (rule, key) must be in ``tx.states.changed``."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._gathering: dict[tuple[str, str], tuple[ArrivalAggregator, list[Taken]]] = {}

    def add(self, where: tuple[str, str], trigger: str, single: Single, taken: Taken) -> bool:
        """Add an event to the aggregator of the trigger. Return False if the event must be folded individually."""
        found = self._gathering.get(where)
        if found is None or found[0].trigger != trigger or not found[0].take(single):
            return False
        found[1][0] = taken
        return True

    def take(self, where: tuple[str, str], counted: Callable[[], Arrived], taken: Taken) -> None:
        """Fold one event. If the rule raises, the event becomes a dead letter of that rule; other rules are unaffected.

        ``counted`` returns the counts that the event adds and records the values of `distinct_by`. It is called inside
        the unit, so that both are rolled back together.
        """
        tx = self._tx
        if tx.careful:
            self._take_with_care(where, counted, taken)
            return
        given = counted()
        folded = tx.take(*where, given)
        rule = tx.catalog.rules[where[0]]
        gathering = (
            ArrivalAggregator.after(rule, tx.states.changed[where].state, given, folded.step) if folded else None
        )
        if gathering is not None:
            self._gathering[where] = (gathering, [taken])

    def _take_with_care(self, where: tuple[str, str], counted: Callable[[], Arrived], taken: Taken) -> None:
        tx = self._tx
        state_id = tx.states.changed[where].id

        def raised(error: Exception) -> None:
            log.debug("event.raised", source=taken.item.source, id=taken.item.id, rule=where[0], exc_info=error)
            taken.take_back(tx, where, state_id, error)

        contained(tx, lambda: tx.take(*where, counted()), raised)

    def clear(self) -> None:
        """Discard all aggregators, when their unit is rolled back."""
        self._gathering.clear()

    def settle(self) -> None:
        """Fold the aggregated events of every (rule, key)."""
        for where in list(self._gathering):
            self.close(where)

    def close(self, where: tuple[str, str]) -> None:
        """Fold the aggregated events of one (rule, key), before another input is folded into it."""
        found = self._gathering.pop(where, None)
        if found is None:
            return
        tx = self._tx
        gathering, (taken,) = found
        entry = tx.states.changed[where]
        state, last = gathering.close(entry.state, tx.now)
        if last is None:
            return
        record = entry.record
        if record is not None and gathering.absorbed:
            record = replace(record, count=record.count + gathering.absorbed)
            tx.writes.emit(DecisionMade(*where, record.decision, count=gathering.absorbed))
            tx.states.decided.append(where)
        tx.states.changed[where] = replace(entry, state=state, record=record)
        self.take(where, lambda: last, taken)
        self._gathering.pop(where, None)
