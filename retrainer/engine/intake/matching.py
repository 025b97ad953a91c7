"""Which (rule, key) an event concerns, and what it brings to each of their triggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.engine.core.containment import one_by_one
from retrainer.engine.intake import distincts
from retrainer.engine.intake.dead_letters import Refusals
from retrainer.rules.expression import BudgetBalance
from retrainer.rules.self_trigger import Author, run_of
from retrainer.store import statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlalchemy import Connection

    from retrainer.engine.core.transaction import Transaction
    from retrainer.event import Event
    from retrainer.rules.compile import CompiledData
    from retrainer.rules.state import Counted
    from retrainer.runs.run import Run

Hits = dict[tuple[str, str], "Hit"]


@dataclass(slots=True)
class Hit:
    """What one (rule, key) makes of an event.

    ``shares`` are its triggers that want it, each with the size, the rows, and the thing that it counts by.
    ``plain`` is its only trigger, if that counts every event; None if there are several, or if what the event adds has
    yet to be found out. ``size`` and ``rows`` are those of the first.
    """

    size: int
    rows: int
    plain: str | None
    shares: list[tuple[CompiledData, int, int, str | None]]

    def counts(self, tx: Transaction, event: Event, state: int) -> tuple[dict[str, Counted], Counted]:
        """What the event adds to each trigger, and to the rule as a whole: most by the trigger that counts it anew."""
        counts = {share[0].name: _count(tx, state, event, *share) for share in self.shares}
        return counts, max(counts.values())


def match(tx: Transaction, event: Event, only: Collection[str] | None = None) -> tuple[Hits, str]:
    """Return the hits, and the outcome of the event if there are none.

    ``only`` looks at these rules alone, and leaves no dead letters: the event has been here before.
    """
    look = _Look(tx, event, author_of(tx.conn, event, tx.created), emit=only is None)
    found = tx.catalog.index.candidates(event)
    one_by_one(
        tx, found if only is None else (trigger for trigger in found if trigger.rule in only), look.at, look.raised
    )
    if look.failed:
        return look.hits, "dead_lettered"
    return look.hits, "filtered" if tx.catalog.listens(event.source) else "ignored"


class _Look(Refusals):
    """What triggers make of one event: the ``hits``, and whether any ``failed`` to take it."""

    def __init__(self, tx: Transaction, event: Event, author: Author | None, *, emit: bool) -> None:
        super().__init__(tx, event, emit=emit)
        self.hits: Hits = {}
        self._author = author
        self._purse = BudgetBalance()

    def at(self, triggers: Iterable[CompiledData]) -> None:
        tx, event, hits, balance = self._work, self._event, self.hits, self._purse
        bare: tuple[int, int] | None = None  # what it brings to a trigger that counts no rows, found out once
        for trigger in triggers:
            if (self._author or trigger.own.places) and _own_output(tx, event, trigger, self._author, emit=self._tell):
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
            if hit is None:
                hits[where] = Hit(
                    size,
                    rows,
                    trigger.name if distinct_value is None else None,
                    [(trigger, size, rows, distinct_value)],
                )
            else:
                hit.plain = None
                hit.shares.append((trigger, size, rows, distinct_value))


def _own_output(tx: Transaction, event: Event, trigger: CompiledData, author: Author | None, *, emit: bool) -> bool:
    said = trigger.own.said(trigger.rule, event, author)
    if said and emit:
        tx.emit("own_output", rule=trigger.rule, trigger=trigger.name, event=event.id, said=said)
    return bool(said)


def author_of(conn: Connection, event: Event, created: Mapping[str, Run] | None = None) -> Author | None:
    """The run that wrote what the event tells of, if one of ours did. ``born`` are runs that are not stored yet."""
    run_id = run_of(event)
    if not run_id:
        return None
    run = (created or {}).get(run_id) or statements.run(conn, run_id)
    return Author(run.id, run.rule) if run is not None else None


def too_many(tx: Transaction, where: tuple[str, str], hits: Collection[tuple[str, str]] = ()) -> bool:
    """Whether there is no room for a new key, with those that this very event brings already."""
    rule, key = where
    for_each = tx.catalog.rules[rule].rule.for_each
    if for_each is None or where in hits or tx.known(rule, key) is not None:
        return False
    brought = sum(other[0] == rule and tx.known(*other) is None for other in hits)
    return tx.keys(rule) + brought >= for_each.max_keys


def _count(
    tx: Transaction, state: int, event: Event, trigger: CompiledData, size: int, rows: int, distinct_value: str | None
) -> Counted:
    if distinct_value is None:
        return (1, size, rows)
    sequencer = event.data.get("sequencer")
    sequencer = sequencer if isinstance(sequencer, str) else ""
    return distincts.count(tx.conn, state, trigger.name, distinct_value, size, rows, sequencer)
