"""How things stand, for the metrics: counted in the store when Prometheus asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import func, select

from retrainer.listening import silent
from retrainer.runs.run import RunPhase
from retrainer.store import queries
from retrainer.store import tables as t
from retrainer.telemetry.metrics import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

    from retrainer.clock import Clock
    from retrainer.sources.base import Source
    from retrainer.store.base import Store

PAGE = 500
"""States read at once: the engine waits while a page is read."""
REST = 20
"""Counting states may take one part in so many of the time, however many keys there are."""
SHORTEST_REST = 5.0


@dataclass(slots=True)
class Tally:
    """What the states of all (rule, key) add up to: events, rows and bytes pending, and the soonest slot, by rule."""

    pending: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    next_fire: dict[str, float] = field(default_factory=dict)

    def count(self, rule: str, text: str) -> None:
        state = orjson.loads(text)
        if window := state.get("window"):
            events, rows, size = self.pending.get(rule, (0, 0, 0))
            self.pending[rule] = (events + window["events"], rows + window["rows"], size + window["bytes"])
        for _, next_at, _ in (state.get("cursors") or {}).values():
            if next_at is not None:
                self.next_fire[rule] = min(next_at, self.next_fire.get(rule, next_at))


class Census:
    """Called at each scrape. `sources` gives every configured source, None for those that others serve.

    `expected` gives the seconds within which something should come from each of them, None where nothing need.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        queued: Callable[[], int],
        sources: Callable[[], Mapping[str, Source | None]],
        expected: Callable[[], Mapping[str, float | None]],
        watch_restarts: Callable[[], int],
    ) -> None:
        self._store, self._clock, self._queued, self._sources = store, clock, queued, sources
        self._expected, self._watch_restarts = expected, watch_restarts
        self._tally = Tally()
        self._next_tally = 0.0

    def __call__(self) -> Standing:
        active, dead_letters = self._store.read(_count)
        heard = self._store.read(queries.heard)
        now = self._clock.now()
        sources = self._sources()
        looking = {name: source for name, source in sources.items() if source is not None}
        judged = {name: silent(every, heard.get(name), now) for name, every in self._expected().items()}
        tally = self._fresh_tally()
        return Standing(
            active=active,
            pending=tally.pending,
            next_fire=tally.next_fire,
            sources={name: source is None or source.last_error is None for name, source in sources.items()},
            lag={name: source.lag for name, source in looking.items() if source.lag is not None},
            halted={name: len(source.halted) for name, source in looking.items()},
            last_event={name: h.last_event_at for name, h in heard.items() if h.last_event_at is not None},
            silent={name: quiet for name, quiet in judged.items() if quiet is not None},
            poll_errors={name: source.poll_errors for name, source in looking.items()},
            dead_letters=dead_letters,
            store_bytes=self._store.size(),
            queued=self._queued(),
            watch_restarts=self._watch_restarts(),
        )

    def _fresh_tally(self) -> Tally:
        began = self._clock.monotonic()
        if began < self._next_tally:
            return self._tally
        tally = Tally()
        last = -1
        while rows := self._store.read(partial(_states, after=last)):
            for _, rule, text in rows:
                tally.count(rule, text)
            last = rows[-1][0]
        ended = self._clock.monotonic()
        self._tally = tally
        self._next_tally = ended + max(SHORTEST_REST, REST * (ended - began))
        return tally


def _states(conn: Connection, after: int) -> list[tuple[int, str, str]]:
    c = t.states.c
    page = select(c.id, c.rule, c.state).where(c.id > after).order_by(c.id).limit(PAGE)
    return [(row.id, row.rule, row.state) for row in conn.execute(page)]


def _count(conn: Connection) -> tuple[dict[tuple[str, RunPhase], int], int]:
    c = t.runs.c
    live = select(c.rule, c.phase, func.count()).where(c.ended_at.is_(None)).group_by(c.rule, c.phase)
    active = {(rule, RunPhase(phase)): count for rule, phase, count in conn.execute(live)}
    return active, conn.execute(select(func.count()).select_from(t.dead_letters)).scalar_one()
