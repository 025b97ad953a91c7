"""What is remembered of one (rule, key): aggregates and references, never a list that grows with the data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
_EMPTY: dict[str, Any] = {}


FULL = 2**63 - 1
"""Bytes or rows beyond which nothing is added up: the store has no larger number."""
Counted = tuple[int, int, int]
"""Events, bytes and rows."""


@dataclass(slots=True)
class Came:
    """What events that arrived together add to a window.

    ``first`` and ``last`` are their ``seq``, the rest is as in `Window`.
    """

    events: int
    bytes: int
    rows: int
    start: float
    end: float
    first_key: str
    last_key: str
    first: int
    last: int
    parts: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Window:
    """Data that came in and no run has taken: so much, from when to when.

    ``first_at`` and ``last_at`` are arrivals, ``start`` and ``end`` event times, all in epoch seconds; ``first_key``
    and ``last_key`` name the first and the last thing that arrived; ``ranges`` are inclusive ranges of ``seq``.
    ``fresh`` is false while the window holds only what a run gave back. ``parts`` are the first and the last position
    in each part of a source that has positions (a Kafka partition), both inclusive.
    """

    events: int = 0
    bytes: int = 0
    rows: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    start: float = 0.0
    end: float = 0.0
    first_key: str = ""
    last_key: str = ""
    ranges: tuple[tuple[int, int], ...] = ()
    fresh: bool = True
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, came: Came, now: float, taken_hi: int) -> Window:
        """Some more events. A range is extended only over what no run took in between (``taken_hi``)."""
        parts = join_parts(self.parts, came.parts) if came.parts else self.parts
        if not self.events:
            start, end = came.start, came.end
            ranges: tuple[tuple[int, int], ...] = ((came.first, came.last),)
            first_at, first_key = now, came.first_key
        else:
            start, end = min(self.start, came.start), max(self.end, came.end)
            first_at, first_key = self.first_at, self.first_key
            lo, hi = self.ranges[-1]
            newest = (lo, came.last) if hi >= taken_hi else (came.first, came.last)
            ranges = (*(self.ranges[:-1] if hi >= taken_hi else self.ranges), newest)
        return Window(
            self.events + came.events,
            min(self.bytes + came.bytes, FULL),
            min(self.rows + came.rows, FULL),
            first_at,
            now,
            start,
            end,
            first_key,
            came.last_key,
            ranges,
            True,
            parts,
        )

    def give_back(self, returned: Window, now: float, taken_hi: int) -> Window:
        """Join what a run gave back; ``or_after`` counts anew from now, as the run was its answer."""
        if not returned.events:
            return self
        if not self.events:
            return replace(returned, first_at=now, last_at=now, fresh=False)
        ranges = tuple(sorted((*returned.ranges, *self.ranges)))
        return Window(
            self.events + returned.events,
            min(self.bytes + returned.bytes, FULL),
            min(self.rows + returned.rows, FULL),
            self.first_at,
            self.last_at,
            min(self.start, returned.start),
            max(self.end, returned.end),
            returned.first_key,
            self.last_key,
            _coalesce(ranges, taken_hi),
            self.fresh,
            join_parts(self.parts, returned.parts),
        )

    def less(self, overlap: Counted) -> Window:
        """The same without what is counted elsewhere by now."""
        events, size, rows = overlap
        return replace(self, events=self.events - events, bytes=self.bytes - size, rows=self.rows - rows)


NOTHING = Window()
"""A window in which nothing is."""


def join_parts(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    joined = dict(one)
    for part, (lo, hi) in other.items():
        before = joined.get(part)
        joined[part] = (lo, hi) if before is None else (min(lo, before[0]), max(hi, before[1]))
    return joined


def _coalesce(ranges: tuple[tuple[int, int], ...], taken_hi: int) -> tuple[tuple[int, int], ...]:
    """Join the newest returned range with what came since: nothing after it was taken by another run."""
    out: list[tuple[int, int]] = []
    for lo, hi in ranges:
        if out and out[-1][1] >= taken_hi:
            out[-1] = (out[-1][0], hi)
        else:
            out.append((lo, hi))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a schedule stands.

    ``at`` is the last slot looked at, ``due`` those that wait for a run, oldest first, ``next_at`` the moment (jitter
    included) at which the next one is due.
    """

    at: float
    next_at: float | None
    due: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """The rule wants to run since then; by these triggers."""

    since: float
    triggers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asked for a run by hand; ``parameters`` override the rule's."""

    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """Everything `step` knows of one (rule, key). Times are epoch seconds."""

    seen_at: float
    heard_at: float | None = None
    """When something last arrived."""
    window: Window = NOTHING
    windows: Mapping[str, Window] = field(default_factory=dict)
    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    taken_hi: int = 0
    due: Due | None = None
    asked: Asked | None = None
    active: int = 0
    """Runs on their way, a chain of retries counted once."""
    stopping: bool = False
    last_fired: float | None = None
    last_completed: float | None = None
    last_succeeded: float | None = None
    failures: int = 0
    broken: bool = False
    """The circuit breaker is open."""
    lapsed: bool = False
    """A deadline gave the due rule up; it takes something new to make it due again."""
    wake_at: float | None = None

    def heard(self, window: Window, windows: Mapping[str, Window], now: float) -> State:
        """Something arrived. All fields in order: `replace` takes twice the time, and this is for each input."""
        return State(
            self.seen_at,
            now,
            window,
            windows,
            self.cursors,
            self.taken_hi,
            self.due,
            self.asked,
            self.active,
            self.stopping,
            self.last_fired,
            self.last_completed,
            self.last_succeeded,
            self.failures,
            self.broken,
            False,
            self.wake_at,
        )

    def fired(self, cursors: Mapping[str, Cursor], taken_hi: int, now: float, *, started: bool) -> State:
        """A run took all that is pending; if none was ``started`` (in shadow), it is taken for one that succeeded."""
        return State(
            self.seen_at,
            self.heard_at,
            NOTHING,
            {},
            cursors,
            taken_hi,
            None,
            None,
            self.active + started,
            self.stopping,
            now,
            self.last_completed if started else now,
            self.last_succeeded if started else now,
            self.failures,
            self.broken,
            False,
            self.wake_at,
        )


def encode(state: State) -> str:
    """JSON, leaving out what has its default; `decode` is its inverse."""
    w = {name: _plain(value) for name, value in state.windows.items()}
    c = {name: [v.at, v.next_at, v.due] for name, v in state.cursors.items()}
    out: dict[str, Any] = {
        "seen_at": state.seen_at,
        "heard_at": state.heard_at,
        "window": _plain(state.window) if state.window.events else None,
        "windows": w or None,
        "cursors": c or None,
        "taken_hi": state.taken_hi or None,
        "due": [state.due.since, state.due.triggers] if state.due else None,
        "asked": {"parameters": state.asked.parameters} if state.asked else None,
        "active": state.active or None,
        "stopping": state.stopping or None,
        "last_fired": state.last_fired,
        "last_completed": state.last_completed,
        "last_succeeded": state.last_succeeded,
        "failures": state.failures or None,
        "broken": state.broken or None,
        "lapsed": state.lapsed or None,
        "wake_at": state.wake_at,
    }
    return orjson.dumps({name: value for name, value in out.items() if value is not None}).decode()


def decode(text: str) -> State:
    """Inverse of `encode`."""
    raw = orjson.loads(text)
    due = raw.pop("due", None)
    asked = raw.pop("asked", None)
    window = raw.pop("window", None)
    windows = raw.pop("windows", _EMPTY)
    cursors = raw.pop("cursors", _EMPTY)
    return State(
        **raw,
        window=window_from(window) if window else NOTHING,
        windows={name: window_from(value) for name, value in windows.items()},
        cursors={name: Cursor(at, next_at, tuple(due_)) for name, (at, next_at, due_) in cursors.items()},
        due=Due(due[0], tuple(due[1])) if due else None,
        asked=Asked(asked["parameters"]) if asked else None,
    )


def _plain(w: Window) -> dict[str, Any]:
    return {name: getattr(w, name) for name in Window.__slots__}


def window_to(window: Window) -> dict[str, Any]:
    """A window, JSON-shaped."""
    return _plain(window)


def window_from(raw: Mapping[str, Any]) -> Window:
    """Inverse of `window_to`."""
    return Window(
        **{
            **raw,
            "ranges": tuple((lo, hi) for lo, hi in raw["ranges"]),
            "parts": {part: (lo, hi) for part, (lo, hi) in raw.get("parts", _EMPTY).items()},
        }
    )
