"""The stored state of one (rule, key): aggregates and references, never a list that grows with the data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.rules.threshold_state import ThresholdState, threshold_from, threshold_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

VERSION = 2
"""Version of the encoding. Version 1 had one manual request, without its name."""
_EMPTY: dict[str, Any] = {}


FULL = 2**63 - 1
"""Cap for sums of bytes or rows: the largest integer of the store."""
Counted = tuple[int, int, int]
"""Events, bytes and rows."""


@dataclass(slots=True)
class WindowDelta:
    """What events that arrived together add to a window.

    ``first`` and ``last`` are the lowest and the highest ``seq``; the other fields are as in `Window`.
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
    """Data that has arrived and that no run has taken.

    ``first_at`` and ``last_at`` are arrival times, ``start`` and ``end`` event times, all in epoch seconds.
    ``first_key`` and ``last_key`` are the labels of the first and last arrival. ``ranges`` are inclusive ranges of
    ``seq``. ``fresh`` is false while the window holds only what a run returned. ``parts`` has the first and last offset
    of each partition, both inclusive, for a source with offsets (Kafka).
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

    def add(self, came: WindowDelta, now: float, taken_hi: int) -> Window:
        """Add events. The last range is extended only if no run has taken events after it (``taken_hi``)."""
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
        """Add what a run returned. An empty window restarts `max_wait` at ``now``, as the run answered the last one."""
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
        """The window without ``overlap``, which is counted elsewhere by now."""
        events, size, rows = overlap
        return replace(self, events=self.events - events, bytes=self.bytes - size, rows=self.rows - rows)


NOTHING = Window()
"""The empty window."""


def join_parts(one: Mapping[str, tuple[int, int]], other: Mapping[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    joined = dict(one)
    for part, (lo, hi) in other.items():
        before = joined.get(part)
        joined[part] = (lo, hi) if before is None else (min(lo, before[0]), max(hi, before[1]))
    return joined


def _coalesce(ranges: tuple[tuple[int, int], ...], taken_hi: int) -> tuple[tuple[int, int], ...]:
    """Join each range to the one before if no run has taken events after that one (``taken_hi``)."""
    out: list[tuple[int, int]] = []
    for lo, hi in ranges:
        if out and out[-1][1] >= taken_hi:
            out[-1] = (out[-1][0], hi)
        else:
            out.append((lo, hi))
    return tuple(out)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Position of a schedule.

    ``at`` is the last slot processed. ``due`` are the slots that wait for a run, oldest first. ``next_at`` is when the
    next slot is due, jitter included.
    """

    at: float
    next_at: float | None
    due: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Due:
    """The rule has been due since ``since``. ``reason`` is the reason of the first of ``triggers``."""

    since: float
    triggers: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Upstream:
    """A run of another rule that has ended, and that no run of this rule has answered yet."""

    run: str
    at: float


@dataclass(frozen=True, slots=True)
class ManualRequest:
    """A manual request for a run. ``parameters`` override the rule's.

    ``at`` is when it was made (epoch seconds), ``request`` names requests made together, ``by`` the person. A backfill
    requests the slot ``scheduled_at`` of the schedule ``trigger``.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0
    request: str = ""
    by: str = ""
    trigger: str = ""
    scheduled_at: float | None = None

    @property
    def backfill(self) -> bool:
        return self.scheduled_at is not None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Evaluating the rule for this key raised ``error`` at ``at`` (epoch seconds), and would raise it again."""

    at: float
    error: str

    def detail(self, rule: str) -> str:
        """A message for users: what failed, and how to resolve it."""
        return f"{self.error}; edit the rule, or try it again with `retrainer resume {rule}`"


@dataclass(frozen=True, slots=True)
class State:
    """The state of one (rule, key). Times are epoch seconds."""

    seen_at: float
    share: float = 0.0
    """Share of a jitter that applies to this (rule, key): a hash of both, in [0, 1)."""
    heard_at: float | None = None
    """When the last event or sample arrived."""
    window: Window = NOTHING
    windows: Mapping[str, Window] = field(default_factory=dict)
    cursors: Mapping[str, Cursor] = field(default_factory=dict)
    gauges: Mapping[str, ThresholdState] = field(default_factory=dict)
    """State of metrics and alerts, by trigger."""
    followed: Mapping[str, Upstream] = field(default_factory=dict)
    """Ended upstream runs that no run has answered yet, by `after` trigger."""
    since: Mapping[str, float] = field(default_factory=dict)
    """Since when each trigger is satisfied; only for rules with `when`."""
    taken_hi: int = 0
    due: Due | None = None
    asked: tuple[ManualRequest, ...] = ()
    """Manual requests that have not started, in order: single runs, then backfill slots."""
    active: int = 0
    """Active runs. A run and its retries count once."""
    stopping: bool = False
    last_fired: float | None = None
    last_completed: float | None = None
    last_succeeded: float | None = None
    last_promoted: float | None = None
    unpromoted: int = 0
    """Runs in a row that were not promoted."""
    failures: int = 0
    broken: bool = False
    """The circuit breaker is open."""
    lapsed: bool = False
    """The deadline of the due rule expired. The rule becomes due again only by something new."""
    refused: str = ""
    """Why the last due run could not be created; cleared when one is created."""
    gave_up_at: float | None = None
    """When a due rule was last given up without a run."""
    imported_at: float | None = None
    """When the age of the model was last imported."""
    quarantine: Quarantine | None = None
    """While set, inputs are folded in and nothing is evaluated."""
    wake_at: float | None = None

    def but(self, **changes: Any) -> State:
        """As `dataclasses.replace`, in half the time: this runs for every event."""
        values = list(_VALUES(self))
        for name, value in changes.items():
            values[_PLACES[name]] = value
        return State(*values)


_VALUES = attrgetter(*State.__slots__)
_PLACES = {name: place for place, name in enumerate(State.__slots__)}
_OF_WINDOWS = frozenset(Window.__slots__)


def encode(state: State) -> str:
    """JSON without the fields that have their default. `decode` is the inverse."""
    w = {name: _plain(value) for name, value in state.windows.items()}
    c = {name: [v.at, v.next_at, v.due] for name, v in state.cursors.items()}
    out: dict[str, Any] = {
        "seen_at": state.seen_at,
        "share": state.share or None,
        "heard_at": state.heard_at,
        "window": _plain(state.window) if state.window.events else None,
        "windows": w or None,
        "cursors": c or None,
        "gauges": {name: threshold_to(g) for name, g in state.gauges.items()} or None,
        "followed": {name: [u.run, u.at] for name, u in state.followed.items()} or None,
        "since": dict(state.since) or None,
        "taken_hi": state.taken_hi or None,
        "due": [state.due.since, state.due.triggers, state.due.reason] if state.due else None,
        "asked": list(_asked_to(state.asked)) if state.asked else None,
        "active": state.active or None,
        "stopping": state.stopping or None,
        "last_fired": state.last_fired,
        "last_completed": state.last_completed,
        "last_succeeded": state.last_succeeded,
        "last_promoted": state.last_promoted,
        "unpromoted": state.unpromoted or None,
        "failures": state.failures or None,
        "broken": state.broken or None,
        "lapsed": state.lapsed or None,
        "refused": state.refused or None,
        "gave_up_at": state.gave_up_at,
        "imported_at": state.imported_at,
        "quarantine": [state.quarantine.at, state.quarantine.error] if state.quarantine else None,
        "wake_at": state.wake_at,
    }
    return orjson.dumps({name: value for name, value in out.items() if value is not None}).decode()


def decode(text: str) -> State:
    """Inverse of `encode`. Fields of a newer release are ignored; the store's schema version says who may read them."""
    raw = orjson.loads(text)
    due = raw.pop("due", None)
    asked = raw.pop("asked", ())
    if isinstance(asked, dict):  # version 1, in which a blocked request made the rule due
        asked, due = [{**asked, "at": due[0] if due else raw["seen_at"]}], None if due and due[1] == ["manual"] else due
    window = raw.pop("window", None)
    windows = raw.pop("windows", _EMPTY)
    cursors = raw.pop("cursors", _EMPTY)
    gauges = raw.pop("gauges", _EMPTY)
    followed = raw.pop("followed", _EMPTY)
    quarantine = raw.pop("quarantine", None)
    return State(
        **{name: value for name, value in raw.items() if name in _PLACES},
        window=window_from(window) if window else NOTHING,
        windows={name: window_from(value) for name, value in windows.items()},
        cursors={name: Cursor(at, next_at, tuple(due_)) for name, (at, next_at, due_) in cursors.items()},
        gauges={name: threshold_from(value) for name, value in gauges.items()},
        followed={name: Upstream(run, at) for name, (run, at) in followed.items()},
        due=Due(due[0], tuple(due[1]), due[2]) if due else None,
        asked=tuple(_asked_from(asked)),
        quarantine=Quarantine(*quarantine) if quarantine else None,
    )


def _asked_to(asked: Iterable[ManualRequest]) -> Iterator[dict[str, Any]]:
    """One item per single run, and one for all consecutive slots of a backfill, as these may be many."""
    for (request, _, backfill), members in groupby(asked, key=lambda a: (a.request, a.at, a.backfill)):
        each = list(members)
        for one in each[:1] if backfill else each:
            told = {"parameters": one.parameters, "at": one.at, "request": request, "by": one.by}
            yield {**told, "slots": [(a.trigger, a.scheduled_at) for a in each]} if backfill else told


def _asked_from(raw: Sequence[Mapping[str, Any]]) -> Iterator[ManualRequest]:
    for one in raw:
        told = ManualRequest(one["parameters"], one["at"], one.get("request", ""), one.get("by", ""))
        if "slots" not in one:
            yield told
        for trigger, slot in one.get("slots", ()):
            yield replace(told, trigger=trigger, scheduled_at=slot)


def _plain(w: Window) -> dict[str, Any]:
    return {name: getattr(w, name) for name in Window.__slots__}


def window_to(window: Window) -> dict[str, Any]:
    """The window as JSON-shaped data."""
    return _plain(window)


def window_from(raw: Mapping[str, Any]) -> Window:
    """Inverse of `window_to`."""
    return Window(
        **{
            **{name: value for name, value in raw.items() if name in _OF_WINDOWS},
            "ranges": tuple((lo, hi) for lo, hi in raw["ranges"]),
            "parts": {part: (lo, hi) for part, (lo, hi) in raw.get("parts", _EMPTY).items()},
        }
    )
