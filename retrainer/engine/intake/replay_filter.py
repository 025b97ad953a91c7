"""Replays: events are read again, for rules that have not counted them yet.

The ledger records which (rule, key) counted an event. For pruned parts of the ledger this is not known: such an event
is taken only for rules that are newer than the ledger's gap, and its outcome is `unknown` for other rules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from retrainer.engine.intake import partitions
from retrainer.engine.intake.matching import Hits, match
from retrainer.engine.intake.object_versions import rows_of_object, tells_of_object
from retrainer.engine.intake.samples import pushed
from retrainer.engine.retention import retention_marks
from retrainer.event import Event, Poison
from retrainer.rules.outcome import Reason, Sampled
from retrainer.rules.self_trigger import ATTRIBUTE, run_of
from retrainer.rules.triggers.level import late
from retrainer.store import event_statements

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.schedules.spread import Reading
    from retrainer.sources.base import ReplayScope


_GRAVITY = ("dead_lettered", "unknown", "overtaken", "stale", "matched", "duplicate", "filtered", "ignored")
"""Precedence of outcomes for an event of which nothing is taken: the first that any trigger reports is used."""


class ReplayFilter:
    """Filters the items of one replayed batch."""

    def __init__(self, tx: Transaction, scope: ReplayScope) -> None:
        self._tx, self._scope = tx, scope
        self._pruned_to = retention_marks.pruned_to(tx.conn)
        self._stored: dict[str, dict[str, int]] = {}

    def judge(self, item: Event | Poison) -> tuple[str, Hits, list[Reading]]:
        """Return the outcome, and the hits and readings that must still be folded.

        Outcomes: `ignored` for an unreadable item (it is a dead letter already) or a record that will still be read
        live; `duplicate` if all matching rules have counted it; `unknown` if they may have counted it. For values:
        `overtaken` if a newer value was taken since, `stale` if older than `max_sample_age`.
        """
        if not isinstance(item, Event) or self._still_to_come(item):
            return "ignored", {}, []
        word, hits = self._counted(item)
        if not self._scope.levels:
            return word, hits, []
        late, readings = self._levels(item)
        return ("matched" if hits or readings else min(word, late, key=_GRAVITY.index)), hits, readings

    def _levels(self, event: Event) -> tuple[str, list[Reading]]:
        """Return the outcome and readings of an event for metric and alert triggers, without readings that are late."""
        readings, failed = pushed(self._tx, event, self._scope.rules)
        words = ["dead_lettered"] if failed else ["filtered"]
        taken: list[Reading] = []
        for reading in readings:
            word = self._late(reading)
            if not word:
                taken.append(reading)
            elif word == "overtaken" and any(list(reading[0]) in counted for counted in self._counted_by(event)):
                words.append("duplicate")
            else:
                words.append(word)
        return min(words, key=_GRAVITY.index), taken

    def _late(self, reading: Reading) -> str:
        (rule_name, key), given = reading
        rule = self._tx.catalog.rules[rule_name]
        assert isinstance(given, Sampled)  # noqa: S101 - for the type checker; a replay has no spread
        trigger, (sample,) = rule.gauges[given.trigger], given.samples
        known = None
        if self._tx.states.known(rule_name, key) is not None:
            gauge = self._tx.states.entry(rule, key).state.gauges.get(given.trigger)
            known = gauge.series.get(sample.series) if gauge is not None else None
        return late(trigger.threshold, known, sample, self._tx.now, alert=trigger.reason is Reason.ALERT)

    def _counted(self, item: Event) -> tuple[str, Hits]:
        """Return the outcome and hits of an event for data triggers."""
        hits, word = match(self._tx, self._with_author(item), self._scope.rules)
        if not hits:
            return word, {}
        times = self._counted_by(item)
        counted = {(rule, key) for rules in times for rule, key in rules}
        left = {where: hit for where, hit in hits.items() if where not in counted}
        if not left:
            return "duplicate", {}
        certain = {where: hit for where, hit in left.items() if times or not self._may_have_counted(where[0])}
        return ("matched", certain) if certain else ("unknown", {})

    def _with_author(self, event: Event) -> Event:
        """Add the run that wrote the object. A listing does not have it; the notification in the ledger does."""
        if not tells_of_object(event) or run_of(event):
            return event
        runs = (orjson.loads(row.attributes).get(ATTRIBUTE) for row in rows_of_object(self._tx, event))
        run = next(filter(None, runs), None)
        return event if run is None else replace(event, attributes={**event.attributes, ATTRIBUTE: run})

    def _still_to_come(self, event: Event) -> bool:
        """Whether a record lies beyond the stored position, so that the live source will read it."""
        if not event.record:
            return False
        part, offset = event.place
        if event.source not in self._stored:
            self._stored[event.source] = partitions.known(self._tx.conn, event.source)
        following = self._stored[event.source].get(part)
        return following is None or offset >= following

    def _counted_by(self, event: Event) -> list[list[list[str]]]:
        """Return, for each time the event was taken in, the (rule, key) pairs that counted it."""
        if tells_of_object(event):
            return [orjson.loads(row.rules) for row in rows_of_object(self._tx, event)]
        self._tx.writes.flush_inputs()
        return [orjson.loads(row.rules) for row in event_statements.said_of(self._tx.conn, event.source, event.id)]

    def _may_have_counted(self, rule: str) -> bool:
        """Whether the rule existed when the newest event arrived that the ledger has pruned since."""
        if self._pruned_to is None:
            return False
        seen_at = retention_marks.first_seen(self._tx.conn, rule)
        return seen_at is not None and seen_at <= self._pruned_to
