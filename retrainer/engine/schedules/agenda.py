"""The agenda: what all rules will decide if nothing arrives, in order of time, and what would hold their runs.

States are read in the order of their next evaluation, in short reads, and only as far as the page needs them. Each goes
on by `Forecast`, so by the functions that decide. Runs take places of their pools and shared budgets as `admit` says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from retrainer.engine.schedules.agenda_means import AgendaMeans, Blocker
from retrainer.engine.schedules.agenda_states import AgendaQuery, AgendaStates
from retrainer.rules.outcome import Kind, Reason

__all__ = ["AgendaQuery", "agenda"]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.forecast import Forecast, ForecastEntry
    from retrainer.store.base import Store

PEERS = 200
"""States with the same next time that are sorted by priority; of more, those that are read first come first."""
MOST_STEPS = 3000
"""Steps of the forecast for one page: about 0.3 s. A page that needs more ends early, and says so."""


@dataclass(frozen=True, slots=True)
class AgendaEntry:
    rule: str
    key: str
    entry: ForecastEntry
    blockers: tuple[Blocker, ...] = ()
    shadow: bool = False


@dataclass(slots=True)
class AgendaPage:
    """``next`` continues the agenda. ``reached``: it was computed only up to this time; None if it is complete."""

    items: list[AgendaEntry] = field(default_factory=list)
    next: tuple[float, int] | None = None
    reached: float | None = None


def agenda(store: Store, catalog: Catalog, query: AgendaQuery, now: float) -> AgendaPage:
    """Return a page of the agenda, as expected at ``now``."""
    means = store.read(partial(AgendaMeans, catalog=catalog, now=now, only=query.only))
    return _Walk(store.read, catalog, query, means, now).page()


class _Walk:
    def __init__(
        self,
        read: Callable[[Callable[[Connection], object]], object],
        catalog: Catalog,
        query: AgendaQuery,
        means: AgendaMeans,
        now: float,
    ) -> None:
        self._catalog, self._query, self._means = catalog, query, means
        self._states = AgendaStates(read, catalog, query, means, now)
        self._heap: list[tuple[float, int, str, str, Forecast]] = []
        self._steps = 0

    def page(self) -> AgendaPage:
        page, last = AgendaPage(), None
        shown = (-math.inf, 0)
        for found in self._entries():
            at = found.entry.at
            shown = (at, shown[1] + 1) if shown[0] == at else (at, 1)
            if not self._wanted(found) or (self._query.after is not None and shown <= self._query.after):
                continue
            if len(page.items) == self._query.limit:
                page.next = last
                return page
            page.items.append(found)
            last = shown
        if self._steps >= MOST_STEPS:
            page.reached = self._heap[0][0] if self._heap else self._states.reached
        return page

    def _wanted(self, found: AgendaEntry) -> bool:
        query = self._query
        return (
            found.entry.at >= query.since
            and (not query.kinds or found.entry.kind in query.kinds)
            and (query.rule is None or found.rule == query.rule)
            and (query.only is None or found.rule in query.only)
        )

    def _entries(self) -> Iterator[AgendaEntry]:
        while self._steps < MOST_STEPS:
            self._load()
            if not self._heap or self._heap[0][0] >= self._query.until:
                return
            _, place, rule, key, forecast = heappop(self._heap)
            self._steps += 1
            for entry in forecast.go():
                yield self._admitted(rule, key, entry)
            if forecast.next_at is not None and forecast.next_at < self._query.until:
                heappush(self._heap, (forecast.next_at, place, rule, key, forecast))

    def _load(self) -> None:
        """Read states until all with the next time are known, so that their runs are admitted by priority."""
        while self._is_short() and (found := self._states.more()):
            for rule, key, forecast in found:
                if forecast.next_at is not None and forecast.next_at < self._query.until:
                    priority = self._catalog.rules[rule].rule.limits.priority
                    heappush(self._heap, (forecast.next_at, -priority, rule, key, forecast))

    def _is_short(self) -> bool:
        """Whether states may be missing that come before the first one, or with it."""
        first = self._heap[0][0] if self._heap else self._query.until
        return self._states.reached < first or (self._states.reached == first and len(self._heap) < PEERS)

    def _admitted(self, name: str, key: str, entry: ForecastEntry) -> AgendaEntry:
        rule = self._catalog.rules[name]
        shadow = rule.rule.mode == "shadow"
        starts = entry.decision is Kind.FIRE and not entry.every_key and entry.reason is not Reason.SHADOW
        return AgendaEntry(name, key, entry, tuple(self._means.admit(rule, entry.at)) if starts else (), shadow)
