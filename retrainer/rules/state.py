"""The stored state of one (rule, key): aggregates and references, never a list that grows with the data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.rules.threshold_state import ThresholdState, threshold_from, threshold_to
from retrainer.rules.window import NO_ITEMS, NOTHING, Window, window_from, window_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

VERSION = 2
"""Version of the encoding. Version 1 had one manual request, without its name."""


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


def encode(state: State) -> str:
    """JSON without the fields that have their default. `decode` is the inverse."""
    w = {name: window_to(value) for name, value in state.windows.items()}
    c = {name: [v.at, v.next_at, v.due] for name, v in state.cursors.items()}
    out: dict[str, Any] = {
        "seen_at": state.seen_at,
        "share": state.share or None,
        "heard_at": state.heard_at,
        "window": window_to(state.window) if state.window.events else None,
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
    windows = raw.pop("windows", NO_ITEMS)
    cursors = raw.pop("cursors", NO_ITEMS)
    gauges = raw.pop("gauges", NO_ITEMS)
    followed = raw.pop("followed", NO_ITEMS)
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
            fields = {"parameters": one.parameters, "at": one.at, "request": request, "by": one.by}
            yield {**fields, "slots": [(a.trigger, a.scheduled_at) for a in each]} if backfill else fields


def _asked_from(raw: Sequence[Mapping[str, Any]]) -> Iterator[ManualRequest]:
    for one in raw:
        request = ManualRequest(one["parameters"], one["at"], one.get("request", ""), one.get("by", ""))
        if "slots" not in one:
            yield request
        for trigger, slot in one.get("slots", ()):
            yield replace(request, trigger=trigger, scheduled_at=slot)
