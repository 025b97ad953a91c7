"""Match an event to (rule, key) pairs, and measure what it adds to each of their triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from retrainer.engine.core.containment import one_by_one
from retrainer.engine.core.notifications import OwnOutputSkipped
from retrainer.engine.intake import distinct_by
from retrainer.engine.intake.dead_letters import Refusals
from retrainer.rules.expression import StepBudget
from retrainer.rules.self_trigger import Author, run_of
from retrainer.store import run_statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection

    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.rules.window import Counted
    from retrainer.runs.run import Run

Hits = dict[tuple[str, str], "Hit"]


Share: TypeAlias = "tuple[CompiledData, int, int, str | None]"
"""What one event adds to a trigger: its size in bytes, its rows, the value of `distinct_by` (None without one).

A plain tuple, as there is one for each match: a class would cost two hundredths of the time of an event.
"""


@dataclass(slots=True)
class Hit:
    """The match of one event with one (rule, key).

    ``shares`` has one item for each matching trigger.
    ``plain`` is the name of the only matching trigger if it counts every event. It is None if several triggers match,
    or if the trigger counts distinct values. ``size`` and ``rows`` are those of the first trigger.
    """

    size: int
    rows: int
    plain: str | None
    shares: list[Share]

    def counts(self, tx: Transaction, event: Event, state: int) -> tuple[dict[str, Counted], Counted]:
        """Return what the event adds to each trigger, and to the rule as a whole: the largest of these counts."""
        counts = {share[0].name: _count(tx, state, event, share) for share in self.shares}
        return counts, max(counts.values())


def match(tx: Transaction, event: Event, only: Collection[str] | None = None) -> tuple[Hits, str]:
    """Return the hits, and the outcome of the event if there are none.

    With ``only``, only these rules are matched and no dead letters are written: the event was processed before.
    """
    look = _Look(tx, event, author_of(tx.conn, event, tx.writes.created), emit=only is None)
    found = tx.catalog.index.candidates(event)
    one_by_one(
        tx, found if only is None else (trigger for trigger in found if trigger.rule in only), look.at, look.raised
    )
    if look.failed:
        return look.hits, "dead_lettered"
    return look.hits, "filtered" if tx.catalog.listens(event.source) else "ignored"


class _Look(Refusals):
    """Matches triggers with one event: ``hits``, and ``failed`` if a trigger failed on it."""

    def __init__(self, tx: Transaction, event: Event, author: Author | None, *, emit: bool) -> None:
        super().__init__(tx, event, emit=emit)
        self.hits: Hits = {}
        self._author = author
        self._step_budget = StepBudget()

    def at(self, triggers: Iterable[CompiledData]) -> None:
        tx, event, hits, balance = self._tx, self._event, self.hits, self._step_budget
        bare: tuple[int, int] | None = None  # the measure for triggers that count neither rows nor bytes
        for trigger in triggers:
            if (self._author or trigger.own.places) and _own_output(tx, event, trigger, self._author, emit=self._emit):
                continue
            try:
                if trigger.where is not None and not trigger.wants(event, balance):
                    continue
                key = trigger.key(event, balance) if trigger.by is not None else ""
                shared = trigger.rows is None and not trigger.counts_bytes
                size, rows = measured = bare if bare is not None and shared else trigger.measure(event, balance)
                bare = measured if shared else bare
                distinct_value = trigger.distinct_value(event, balance) if trigger.distinct is not None else None
            except ValueError as error:
                self._fail(trigger, "raised", str(error))
                continue
            where = (trigger.rule, key)
            if key and too_many(tx, where, hits):
                self._too_many_keys(trigger, key)
                continue
            hit = hits.get(where)
            share = (trigger, size, rows, distinct_value)
            if hit is None:
                hits[where] = Hit(size, rows, trigger.name if distinct_value is None else None, [share])
            else:
                hit.plain = None
                hit.shares.append(share)


def _own_output(tx: Transaction, event: Event, trigger: CompiledData, author: Author | None, *, emit: bool) -> bool:
    evidence = trigger.own.said(trigger.rule, event, author)
    if evidence and emit:
        tx.writes.emit(OwnOutputSkipped(trigger.rule, trigger.name, event.id, evidence))
    return bool(evidence)


def author_of(conn: Connection, event: Event, created: Mapping[str, Run] | None = None) -> Author | None:
    """Return the run that wrote the data of the event, or None. ``created`` holds runs that are not stored yet."""
    run_id = run_of(event)
    if not run_id:
        return None
    run = (created or {}).get(run_id) or run_statements.run(conn, run_id)
    return Author(run.id, run.rule) if run is not None else None


def too_many(tx: Transaction, where: tuple[str, str], hits: Collection[tuple[str, str]] = ()) -> bool:
    """Whether a new key exceeds `max_keys`. ``hits`` are the keys that the same event adds already."""
    rule, key = where
    for_each = tx.catalog.rules[rule].rule.for_each
    if for_each is None or where in hits or tx.states.known(rule, key) is not None:
        return False
    brought = sum(other[0] == rule and tx.states.known(*other) is None for other in hits)
    return tx.states.keys(rule) + brought >= for_each.max_keys


def _count(tx: Transaction, state: int, event: Event, share: Share) -> Counted:
    trigger, size, rows, value = share
    if value is None:
        return (1, size, rows)
    sequencer = event.data.get("sequencer")
    last = distinct_by.LastEvent(size, rows, sequencer if isinstance(sequencer, str) else "")
    return distinct_by.count(tx.conn, state, trigger.name, value, last)
