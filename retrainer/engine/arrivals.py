"""Events on their way into states: those that only add up are gathered and folded in as one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from retrainer.engine.containment import attempt
from retrainer.rules.gather import Gathering
from retrainer.store import writes
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.engine.work import Work
    from retrainer.event import Event
    from retrainer.rules.gather import Single
    from retrainer.rules.outcome import Arrived

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that is being taken in, and whom to tell if a rule cannot bear it."""

    item: Event
    raised: Callable[[Work, str, Exception], None]


class Arrivals:
    """Of one transaction, by (rule, key); the states they are for are among the changed ones."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._gathering: dict[tuple[str, str], tuple[Gathering, list[Taken]]] = {}

    def __contains__(self, where: tuple[str, str]) -> bool:
        return where in self._gathering

    def add(self, where: tuple[str, str], trigger: str, single: Single, taken: Taken) -> bool:
        """Add an event to what gathers for a trigger; false if it is one that has to be folded in by itself."""
        found = self._gathering.get(where)
        if found is None or found[0].trigger != trigger or not found[0].take(single):
            return False
        found[1][0] = taken
        return True

    def take(self, where: tuple[str, str], seq: int, counted: Callable[[], Arrived], taken: Taken) -> None:
        """Fold an event in. One that no rule can bear goes to the dead letters, the others are not touched.

        ``counted`` says what it adds, and notes what `distinct_by` has seen: that belongs to the same unit.
        """
        work = self._work
        if work.careful:
            self._take_with_care(where, seq, counted, taken)
            return
        given = counted()
        done = work.take(*where, given)
        rule = work.catalog.rules[where[0]]
        gathering = Gathering.after(rule, work.changed[where].state, given, done) if done else None
        if gathering is not None:
            self._gathering[where] = (gathering, [taken])

    def _take_with_care(self, where: tuple[str, str], seq: int, counted: Callable[[], Arrived], taken: Taken) -> None:
        work = self._work
        entry = work.changed[where]
        try:
            attempt(work, lambda: work.take(*where, counted()))
        except Exception as error:
            if of_whole(error):
                raise
            log.debug("event.raised", source=taken.item.source, id=taken.item.id, rule=where[0], exc_info=True)
            work.flush_inputs()
            writes.take_back_input(work.conn, entry.id, where, seq)
            taken.raised(work, where[0], error)

    def clear(self) -> None:
        """What has gathered is undone with the rest of its unit."""
        self._gathering.clear()

    def settle(self) -> None:
        """Fold in what has gathered."""
        for where in list(self._gathering):
            self.close(where)

    def close(self, where: tuple[str, str]) -> None:
        """Fold in what has gathered for one, before something else is."""
        found = self._gathering.pop(where, None)
        if found is None:
            return
        work = self._work
        gathering, (taken,) = found
        entry = work.changed[where]
        state, last = gathering.close(entry.state, work.now)
        if last is None:
            return
        noted = entry.noted
        if noted is not None and gathering.absorbed:
            noted = replace(noted, count=noted.count + gathering.absorbed)
            facts = {"decision": noted.decision, "run": None, "count": gathering.absorbed}
            work.tell("decided", rule=where[0], key=where[1], **facts)
        work.changed[where] = replace(entry, state=state, noted=noted)
        self.take(where, last.seq, lambda: last, taken)
        self._gathering.pop(where, None)
