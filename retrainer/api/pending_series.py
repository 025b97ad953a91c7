"""How much data was pending for a rule's data triggers, over time: walked back from an amount that is stored.

What a run took is stored with it, and what is pending now is in the state. Between them, the events that were counted
are in the ledger.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.api.series import points
from retrainer.engine.retention import retention_marks
from retrainer.rules.pending import Change, steps_back
from retrainer.rules.readings import added_by
from retrainer.rules.state import decode
from retrainer.rules.window import window_from
from retrainer.runs.run import RunPhase
from retrainer.store import history, search, statements
from retrainer.util.thinning import Thinned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Row

    from retrainer.api.series import Span
    from retrainer.rules.triggers.data import CompiledData
    from retrainer.rules.window import Window
    from retrainer.store.base import Store
    from retrainer.store.history import Arrival
    from retrainer.util.thinning import Point

MOST_RUNS = 500
PLAIN_PIECES, PIECES = 10, 4
"""Pieces of 500 events that one call reads: of triggers without expressions, and with some."""
UNITS = ("events", "bytes", "rows")
_FIRST, _LAST = 0.0, float(2**63)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """Where the walk back begins: at ``at``, ``windows`` were pending by trigger, of events below ``below``."""

    state: int
    at: float
    below: int
    windows: dict[str, Window]
    runs: Sequence[Row[Any]]


def pending(store: Store, span: Span) -> list[dict[str, Any]]:
    """Return what was pending for each data trigger, in each unit that its batch has a limit for.

    It is shown from ``read_since`` on, and only where it adds up; see `retrainer.rules.pending`.
    """
    if not span.rule.data or (anchor := store.read(partial(_anchor, span=span))) is None:
        return []
    arrivals, reached = _arrivals(store, span, anchor)
    reached = max(reached, store.read(retention_marks.pruned_to) or span.since)
    lines = []
    for trigger in span.rule.data.values():
        limits = trigger.batch.at_least
        for unit in [unit for unit in UNITS if getattr(limits, unit, None)] or ["events"]:
            steps = _steps(span, anchor, trigger, unit, (arrivals, reached))
            named = {"trigger": trigger.name, "unit": unit, "limit": getattr(limits, unit, None)}
            only_runs = trigger.distinct is not None
            lines.append({**named, "points": _shown(span, steps), "read_since": reached, "only_runs": only_runs})
    return lines


def _shown(span: Span, steps: list[Point]) -> list[dict[str, Any]]:
    """Return the steps of the time as a line that ends at its end."""
    line = Thinned(span.since, span.until)
    last: float | None = None
    for at, value in reversed(steps):
        if at <= span.until:
            line.add(at, value)
            last = value
    line.add(span.until, last)
    return points(line)


def _anchor(conn: Connection, span: Span) -> _Anchor | None:
    """Return the first run after the time that took data, else the current state; None if there is none."""
    name = span.rule.name
    row = statements.state_row(conn, name, span.key)
    if row is None:
        return None
    run = history.next_take(conn, name, span.key, span.until)
    end = _LAST_ID if run is None else run.created_at
    runs = history.takes(conn, name, span.key, span.since, end, MOST_RUNS)
    if run is not None:
        return _Anchor(row.id, run.created_at, int(_newest(run)) + 1, _taken(run), runs)
    return _Anchor(row.id, _LAST, search.number_at(conn, _LAST), dict(decode(row.state).windows), runs)


_LAST_ID = 4_000_000_000.0
"""A time after all runs, in epoch seconds."""


def _taken(run: Row[Any]) -> dict[str, Window]:
    return {name: window_from(raw) for name, raw in orjson.loads(run.taken).items()}


def _newest(run: Row[Any]) -> float:
    """Return the `seq` of the newest event that a run took."""
    return max((hi for _, hi in orjson.loads(run.window).get("ranges", ())), default=_FIRST)


def _arrivals(store: Store, span: Span, anchor: _Anchor) -> tuple[list[Arrival], float]:
    """Return the events that were counted, the latest first, and the time back to which they are complete."""
    first = store.read(partial(search.number_at, moment=span.since))
    triggers = span.rule.data.values()
    plain = all(trigger.where is None and trigger.rows is None and trigger.by is None for trigger in triggers)
    found: list[Arrival] = []
    below: int = anchor.below
    for _ in range(PLAIN_PIECES if plain else PIECES):
        piece = store.read(partial(history.counted, state=anchor.state, first=first, below=below))
        found += piece.arrivals
        if piece.following is None:
            return found, span.since
        below = piece.following
    return found, found[-1][1] if found else span.since


def _steps(
    span: Span, anchor: _Anchor, trigger: CompiledData, unit: str, read: tuple[list[Arrival], float]
) -> list[Point]:
    """Return the amounts, the latest first. With `distinct_by`, only those that runs took are known."""
    arrivals, reached = read
    comes_back = span.rule.rule.submit.inputs_on_failure == "return"
    by_runs = sorted(_by_runs(anchor.runs, trigger.name, unit, comes_back=comes_back), key=_later)
    now = float(getattr(anchor.windows.get(trigger.name), unit, 0))
    if trigger.distinct is not None:
        taken = [change for *_, change in by_runs if change.kind == "taken"]
        return [point for change in taken for point in ((change.at, None), (change.at, change.amount))]
    place = UNITS.index(unit)
    arrived = ((at, float(seq), added_by(trigger, span.key, event)[place]) for seq, at, event in arrivals)
    by_events = ((at, seq, Change(at, "arrived", amount)) for at, seq, amount in arrived if amount)
    changes = (change for *_, change in heapq.merge(by_events, by_runs, key=_later))
    return steps_back((change for change in changes if change.at >= reached), reached, anchor.at, now)


def _later(placed: tuple[float, float, Change]) -> tuple[float, float]:
    """Order the latest first."""
    return -placed[0], -placed[1]


def _by_runs(
    runs: Iterable[Row[Any]], trigger: str, unit: str, *, comes_back: bool
) -> Iterator[tuple[float, float, Change]]:
    """Yield what runs took and returned, each with its time and place. A run and its retries took it once."""
    ends: dict[str, Row[Any]] = {}
    for run in runs:
        ends.setdefault(run.chain, run)  # the latest first: that is the last attempt
        if run.id != run.chain or trigger not in (taken := _taken(run)):
            continue
        amount = float(getattr(taken[trigger], unit))
        yield run.created_at, _newest(run) + 0.5, Change(run.created_at, "taken", amount)
        end = ends[run.chain]
        if comes_back and end.ended_at is not None and end.phase != RunPhase.SUCCEEDED:
            yield end.ended_at, _FIRST, Change(end.ended_at, "returned", amount)
