"""Intake of events: move the position, de-duplicate, append to the ledger, match, fold. Each event has one outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson
import structlog

from retrainer.engine.core.containment import attempt, contained, one_by_one
from retrainer.engine.core.notifications import EventDeadLettered, EventsTaken
from retrainer.engine.intake import object_versions, partitions, replay_filter
from retrainer.engine.intake.arrivals import Arrivals, Taken
from retrainer.engine.intake.dead_letters import dead, dead_letter, unbearable
from retrainer.engine.intake.matching import Hit, match
from retrainer.engine.intake.samples import read
from retrainer.engine.schedules.every_key import by_trigger, within_budget
from retrainer.event import Event, Poison
from retrainer.rules.outcome import Arrived, Sampled
from retrainer.sources.base import Batch, PositionLost, ReplayScope
from retrainer.store import event_statements, statements
from retrainer.store import tables as t
from retrainer.store.faults import of_whole
from retrainer.store.rows import event_to_row
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.schedules.spread import Reading, Spread

log = structlog.get_logger()

MAX_POISON = 1 << 20
"""Bytes kept of an unreadable item. A readable event is kept whole, because it may be replayed."""
REPLAYED = "Replayed"
"""Journal entry: the event that follows was replayed, for the listed rules only."""
PRECEDENCE = ("matched", "filtered", "duplicate", "dead_lettered", "ignored")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The time budget ended within the batch. ``outcomes``: of the first items; ``rest``: the remaining batch."""

    outcomes: list[str]
    rest: Batch


Answer: TypeAlias = "list[str] | Unfinished | Exception"


def take_in(tx: Transaction, batches: Sequence[Batch]) -> list[Answer]:
    """Fold batches in order and return the outcomes of each. A failing event does not affect the others.

    If the transaction's time budget ends, there are fewer answers than batches, and the last answer may be
    `Unfinished`. The caller passes the rest to the next transaction.
    """
    if tx.careful:
        return [_with_care(tx, batch) for batch in _in_time(tx, batches)]
    return _together(tx, _in_time(tx, batches))


def _together(tx: Transaction, batches: Iterable[Batch]) -> list[Answer]:
    """Fold batches without savepoints."""
    tx.arrivals = arrivals = Arrivals(tx)
    taken = [_Intake(tx, batch, arrivals).run() for batch in batches]
    arrivals.settle()
    return [intake.answer() for intake in taken]


def _in_time(tx: Transaction, batches: Sequence[Batch]) -> Iterator[Batch]:
    """Yield batches until the time budget ends, at least one."""
    for i, batch in enumerate(batches):
        if i and tx.budget.late:
            return
        yield batch


def _items_in_time(tx: Transaction, batch: Batch) -> Iterator[Event | Poison]:
    """Yield items until the time budget ends, at least one. Stop only where `Batch.splits_before` allows a split."""
    budget = tx.budget
    for i, item in enumerate(batch.items):
        if i and budget.late and batch.splits_before(i):
            return
        yield item


def _move_back(tx: Transaction, batch: Batch, taken: int) -> None:
    """Correct the position after a partial batch: it was moved past all items of the batch."""
    if batch.offsets is not None and taken < len(batch.items):
        here = batch.offsets
        partitions.move(tx.conn, batch.source, replace(here, begin=here.next, next=here.item_offsets[taken]))


def _answer(tx: Transaction, batch: Batch, outcomes: list[str]) -> list[str] | Unfinished:
    for outcome in PRECEDENCE:
        if n := outcomes.count(outcome):
            tx.writes.emit(EventsTaken(batch.source, outcome, n))
    taken = len(outcomes)
    return outcomes if taken == len(batch.items) else Unfinished(outcomes, batch.rest(taken))


def _with_care(tx: Transaction, batch: Batch) -> Answer:
    """Fold the whole batch in one savepoint, which is cheapest. If that fails, fold each item in its own."""

    def raised(error: Exception) -> Exception:
        log.error("batch.raised", source=batch.source, exc_info=error)
        return error

    answer = contained(tx, partial(_plainly, tx, batch), lambda _: None)
    return contained(tx, partial(_singly, tx, batch), raised) if answer is None else answer


def _plainly(tx: Transaction, batch: Batch) -> Answer | None:
    tx.careful = False
    try:
        return _together(tx, (batch,))[0]
    finally:
        tx.careful = True


def _singly(tx: Transaction, batch: Batch) -> Answer:
    """Move the position, then fold each item in its own savepoint. An item that still raises becomes a dead letter."""
    tx.arrivals = arrivals = Arrivals(tx)
    around = _Intake(tx, replace(batch, items=()), arrivals).run()
    if around.lost is not None:
        return around.lost
    outcomes: list[str] = []
    for item in _items_in_time(tx, batch):
        one = replace(batch, items=[item], offsets=None, objects={})
        try:
            outcomes += attempt(tx, lambda batch=one: _Intake(tx, batch, arrivals).run()).outcomes  # type: ignore[misc]
        except Exception as error:
            if of_whole(error):
                raise
            log.debug("event.raised", source=batch.source, id=item.id, exc_info=True)
            if batch.replay_scope is None:  # a replayed item has its dead letter already
                attempt(tx, partial(unbearable, tx, item, words(error)))
            outcomes.append("dead_lettered")
    _move_back(tx, batch, len(outcomes))
    return _answer(tx, batch, outcomes)


class _Intake:
    """Intake of one batch. ``outcomes``: one per item; ``lost``: set if another owner has claimed the partition."""

    def __init__(self, tx: Transaction, batch: Batch, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        self.tx, self.batch = tx, batch
        self.outcomes: list[str] = []
        self.lost: PositionLost | None = None
        self._fresh: list[tuple[Any, ...]] = []
        self._repeated: list[dict[str, Any]] = []
        self._taken_back: list[str] = []

    def run(self) -> _Intake:
        tx, batch = self.tx, self.batch
        if batch.offsets is not None and not partitions.move(tx.conn, batch.source, batch.offsets):
            self.lost = PositionLost(f"{batch.source}: {batch.offsets.part} has another owner now")
            return self
        if batch.replay_scope is not None:
            self._replay(batch.replay_scope)
        else:
            self._take_all()
        _move_back(tx, batch, len(self.outcomes))
        return self

    def answer(self) -> Answer:
        return self.lost or _answer(self.tx, self.batch, self.outcomes)

    def _take_all(self) -> None:
        tx, batch = self.tx, self.batch
        known = self._known()
        tracker = object_versions.Tracker(tx, batch) if batch.tracked else None
        for item in _items_in_time(tx, batch):
            if not isinstance(item, Event):
                self.outcomes.append(self._poison(item))
            elif (known is not None and self._seen(item, known)) or (tracker is not None and tracker.counted(item)):
                self.outcomes.append("duplicate")
            else:
                hits, word = match(tx, item)
                readings, failed = read(tx, item)
                self._take(item, hits, "dead_lettered" if failed else word, readings)
        event_statements.forget_ids(tx.conn, batch.source, self._taken_back)
        statements.append_all(tx.conn, t.identities, self._fresh)
        event_statements.seen_again(tx.conn, self._repeated)
        if tracker is not None:
            tracker.store()
        if batch.objects and len(self.outcomes) == len(batch.items):
            event_statements.store_objects(tx.conn, batch.source, batch.objects, tx.now)
        if batch.items:
            tx.writes.mark_seen(batch.source)

    def _known(self) -> set[str] | None:
        """Return the ids in this batch that are stored already; None if the source de-duplicates by other means."""
        if self.batch.identity_window <= 0:
            return None
        ids = [item.id for item in self.batch.items if isinstance(item, Event)]
        return event_statements.known_ids(self.tx.conn, self.batch.source, ids)

    def _seen(self, event: Event, known: set[str]) -> bool:
        now = self.tx.now
        forget_at = now + self.batch.identity_window
        if event.id in known:
            row = {"b_source": event.source, "b_id": event.id, "seen_at": now, "forget_at": forget_at}
            self._repeated.append(row)
            return True
        if event.takes_back:
            self._take_back(event.takes_back, known)
        known.add(event.id)
        self._fresh.append((event.source, event.id, self.tx.writes.counters["seq"] + 1, now, forget_at))
        return False

    def _take_back(self, identity: str, known: set[str]) -> None:
        known.discard(identity)
        self._fresh = [row for row in self._fresh if row[1] != identity]
        self._taken_back.append(identity)

    def _poison(self, item: Poison) -> str:
        if item.kept:
            letter = EventDeadLettered(item.source, item.id, "unreadable", item.error)
            dead_letter(self.tx, letter, item.payload[:MAX_POISON])
        return "dead_lettered"

    def _replay(self, scope: ReplayScope) -> None:
        replay = replay_filter.ReplayFilter(self.tx, scope)
        for item in _items_in_time(self.tx, self.batch):
            word, hits, readings = replay.judge(item)
            if (hits or readings) and isinstance(item, Event) and not scope.dry:
                self.tx.writes.journal(REPLAYED, "", "", {"rules": sorted(scope.rules), "levels": scope.levels})
                self._take(item, hits, word, readings)
            else:
                self.outcomes.append(word)

    def _take(self, item: Event, hits: dict[tuple[str, str], Hit], word: str, readings: Sequence[Reading] = ()) -> None:
        """Append an event to the ledger and fold it into the states of the matching rules."""
        tx = self.tx
        if hits:
            left_out = self._enter(item, hits)
            word = "dead_lettered" if left_out and not hits else word
        seq = tx.writes.number("seq")
        readings = self._within_budget(item, readings) if readings else readings
        label = item.label
        place, offset = item.place
        matched = bool(hits or readings)
        if matched:
            tx.writes.arrived[seq] = item
        concerned = list(dict.fromkeys((*hits, *(where for where, _ in readings)))) if readings else list(hits)
        rules = orjson.dumps(concerned).decode() if matched else "[]"
        tx.writes.events.append(event_to_row(seq, tx.now, item, "matched" if matched else word, rules))
        # Before the fold, because the parameters of a run may read the event that caused it.
        tx.writes.inputs += [(tx.states.changed[where].id, seq) for where in hits]
        self.outcomes.append("matched" if matched else word)
        taken = Taken(item, seq, partial(self._raised, item, len(self.outcomes) - 1, concerned))
        for where, given in readings:
            self._read(where, given, taken)
        for where, hit in hits.items():
            single = (seq, item.time, label, hit.size, hit.rows, place, offset)
            if hit.plain is not None and self._arrivals.add(where, hit.plain, single, taken):
                continue
            state = tx.states.changed[where].id

            def counted(hit: Hit = hit, state: int = state) -> Arrived:
                return Arrived(seq, item.time, label, *hit.counts(tx, item, state), place, offset)

            self._arrivals.take(where, counted, taken)

    def _enter(self, item: Event, hits: dict[tuple[str, str], Hit]) -> bool:
        """Load the states of all hits. Hits whose rule raises are removed; return whether any were removed."""
        many = len(hits)

        def entered(these: Iterable[tuple[str, str]]) -> None:
            for where in these:
                if where not in self.tx.states.changed:
                    self.tx.states.changed[where] = self.tx.states.entry(self.tx.catalog.rules[where[0]], where[1])

        def raised(where: tuple[str, str], error: Exception) -> None:
            del hits[where]
            self._left_out(item, where[0], error)

        one_by_one(self.tx, list(hits), entered, raised)
        return len(hits) < many

    def _within_budget(self, item: Event, readings: Sequence[Reading]) -> list[Reading]:
        """Limit readings for many keys to the budget of this transaction. Drop triggers whose rule raises."""
        found: list[Reading] = []

        def spread(groups: Iterable[list[Reading]]) -> None:
            for of_trigger in groups:
                found.extend(within_budget(self.tx, of_trigger))

        def raised(of_trigger: list[Reading], error: Exception) -> None:
            self._left_out(item, of_trigger[0][0][0], error)

        one_by_one(self.tx, by_trigger(readings), spread, raised)
        return found

    def _left_out(self, item: Event, rule: str, error: Exception) -> None:
        if self.batch.replay_scope is None:  # a replayed event has its dead letter already
            dead(self.tx, item, "raised", words(error), rule)

    def _read(self, where: tuple[str, str], given: Sampled | Spread, taken: Taken) -> None:
        """Fold a value into one state. If the rule raises, it gets a dead letter; other rules are unaffected."""
        tx = self.tx
        try:
            tx.take(*where, given)
        except Exception as error:
            if not tx.careful or of_whole(error):
                raise
            taken.take_back(tx, where, -1, error)

    def _raised(self, item: Event, index: int, left: list[Any], rule: str, error: Exception) -> None:
        """Record that one matching rule raised. When ``left`` is empty, the event is dead-lettered."""
        if self.batch.replay_scope is None:  # a replayed event was processed before
            dead(self.tx, item, "raised", f"{type(error).__name__}: {error}", rule)
        left.pop()
        if not left:
            self.outcomes[index] = "dead_lettered"
