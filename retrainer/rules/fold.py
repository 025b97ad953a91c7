"""The first half of `step`: what an input changes in the state, before anything is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.rules.cron import jitter
from retrainer.rules.outcome import (
    Arrived,
    Backfill,
    Ended,
    Imported,
    Input,
    Manual,
    PromotionReported,
    Quarantined,
    Reason,
    Reopened,
    Resumed,
    Sampled,
    SlotDue,
    SlotRecord,
    Spoiled,
    Unrendered,
    UpstreamEnded,
    Wake,
    Withdrawn,
)
from retrainer.rules.run_end import Folded, ended, judged, unrendered
from retrainer.rules.state import Cursor, ManualRequest, Quarantine, State, Upstream
from retrainer.rules.threshold_state import ThresholdState
from retrainer.rules.triggers import level
from retrainer.rules.triggers.schedule import first_cursor, going, queue, tick
from retrainer.rules.window import NOTHING, Counted, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule

T = TypeVar("T")
_Fold = Callable[["CompiledRule", State, Any, float], Folded]


def first_state(rule: CompiledRule, key: str, now: float) -> State:
    """The initial state. With `for_each`, the schedules are in the state of the empty key and apply to all keys."""
    own_schedules = {} if rule.per_key and key else rule.schedules
    return State(
        seen_at=now,
        share=jitter(f"{rule.name}/{key}", 0.0, 1.0),
        cursors={name: first_cursor(t, f"{rule.name}/{name}", now) for name, t in own_schedules.items()},
    )


def revise(
    rule: CompiledRule, key: str, state: State, now: float, stale: Collection[str] = ()
) -> tuple[State, list[SlotRecord]]:
    """Adapt the state to an edited rule: drop the state of removed and invalidated (``stale``) triggers, add new ones.

    Also return records of the due slots of dropped schedules.
    """
    fresh = first_state(rule, key, now)
    windows = _kept(state.windows, rule.data, stale)
    cursors = _kept(state.cursors, rule.schedules, stale)
    gone = {name: cursor for name, cursor in state.cursors.items() if name not in cursors}
    going_on = {
        name: going(rule.schedules[name], f"{rule.name}/{name}", cursor, spoken=name in fresh.cursors)
        for name, cursor in cursors.items()
    }
    revised = replace(
        state,
        cursors={**fresh.cursors, **going_on},
        window=_rest_of(state, windows),
        windows=windows,
        gauges=_kept(state.gauges, rule.gauges, stale),
        followed=_kept(state.followed, rule.afters, stale),
        since=_kept(state.since, rule.rule.triggers, stale) if rule.when.condition is not None else {},
        due=None,
        quarantine=None,
        asked=tuple(
            a for a in state.asked if not a.backfill or (a.trigger in rule.schedules and a.trigger not in stale)
        ),
    )
    return revised, [SlotRecord(n, slot, "skipped", Reason.EDITED, slot) for n, c in gone.items() for slot in c.due]


def _kept(held: Mapping[str, T], known: Collection[str], stale: Collection[str]) -> dict[str, T]:
    return {name: value for name, value in held.items() if name in known and name not in stale}


def _rest_of(state: State, windows: Mapping[str, Window]) -> Window:
    """The window of the rule, without the data that only dropped triggers held.

    If several triggers are left, it is unknown which events they share: the window stays as it is.
    """
    left = [window for window in windows.values() if window.events]
    if len(left) > 1 or len(left) == sum(window.events > 0 for window in state.windows.values()):
        return state.window
    return left[0] if left else NOTHING


def advance(rule: CompiledRule, state: State, now: float) -> tuple[State, list[SlotRecord], list[SlotDue]]:
    """Advance schedules, metrics and alerts to ``now``."""
    if state.gauges:
        state = _advance_gauges(rule, state, now)
    records: list[SlotRecord] = []
    fan_out: list[SlotDue] = []
    for name, cursor in state.cursors.items():
        if cursor.next_at is None or now < cursor.next_at or name not in rule.schedules:
            continue
        ticked = tick(rule.schedules[name], f"{rule.name}/{name}", cursor, now)
        records += ticked.records
        moved = ticked.cursor
        if rule.per_key:
            fan_out += [SlotDue(name, slot) for slot in ticked.due]
        elif ticked.due:
            moved, dropped = queue(rule.schedules[name], moved, ticked.due)
            records += dropped
            state = _anew(state, name)
        state = replace(state, cursors={**state.cursors, name: moved})
    return state, records, fan_out


def _anew(state: State, name: str) -> State:
    """The trigger is satisfied by something new: `within` counts from now."""
    if name not in state.since:
        return state
    return replace(state, since={n: moment for n, moment in state.since.items() if n != name})


def _advance_gauges(rule: CompiledRule, state: State, now: float) -> State:
    changed = {}
    for name, known in state.gauges.items():
        if name in rule.gauges:
            moved = level.advance(rule.gauges[name].threshold_of(state), known, now)
            if moved is not known:
                changed[name] = moved
    return state.but(gauges={**state.gauges, **changed}) if changed else state


def fold(rule: CompiledRule, state: State, given: Input, now: float) -> Folded:
    """Fold in one input. The decisions and records are those that the input itself causes."""
    return _FOLDS[type(given)](rule, state, given, now)


def _only(change: Callable[[State, Any, float], State]) -> _Fold:
    """Wrap an input that changes only the state."""
    return lambda _rule, state, given, now: (change(state, given, now), [], [])


def _arrived(state: State, given: Arrived, now: float) -> State:
    before, windows = state.window, dict(state.windows)
    window = before.add(_window(given, given.total, now), state.taken_hi)
    for name, counted in given.counts.items():
        known = windows.get(name, NOTHING)
        if counted == given.total and (known is before or not (known.events or before.events)):
            windows[name] = window  # the trigger counts every event: share the rule's window
        else:
            windows[name] = known.add(_window(given, counted, now), state.taken_hi)
    return state.but(window=window, windows=windows, lapsed=False, heard_at=now)


def _sampled(rule: CompiledRule, state: State, given: Sampled, now: float) -> Folded:
    if given.trigger not in rule.gauges:
        return state, [], []
    asked = rule.gauges[given.trigger].threshold_of(state)
    known = state.gauges.get(given.trigger) or ThresholdState()
    moved = level.sampled(asked, known, given.samples, now, whole=given.whole, trouble=given.trouble)
    return state.but(gauges={**state.gauges, given.trigger: moved}, heard_at=now), [], []


def _followed(state: State, given: UpstreamEnded, now: float) -> State:
    followed = {**state.followed, given.trigger: Upstream(given.run, now)}
    return replace(_anew(state, given.trigger), followed=followed)


def _asked(state: State, given: Manual, now: float) -> State:
    """Queue before backfill slots, which may take days."""
    first = sum(not waiting.backfill for waiting in state.asked)
    asked = ManualRequest(given.parameters, now, given.request, given.by)
    return replace(state, asked=(*state.asked[:first], asked, *state.asked[first:]))


def _backfilled(state: State, given: Backfill, now: float) -> State:
    more = (
        ManualRequest(given.parameters, now, given.request, given.by, trigger, slot) for trigger, slot in given.slots
    )
    return replace(state, asked=(*state.asked, *more))


def _withdrawn(state: State, given: Withdrawn, _now: float) -> State:
    return replace(state, asked=tuple(waiting for waiting in state.asked if waiting.backfill == given.manual))


def _imported(state: State, given: Imported, now: float) -> State:
    """Imported times replace only older ones."""
    succeeded = _later(state.last_succeeded, given.succeeded_at)
    promoted = _later(state.last_promoted, given.promoted_at)
    if (succeeded, promoted) == (state.last_succeeded, state.last_promoted):
        return state
    return replace(state, last_succeeded=succeeded, last_promoted=promoted, imported_at=now)


def _spoiled(state: State, given: Spoiled, _now: float) -> State:
    """Remove the events from the windows, and clear `lapsed`, so that the rest is evaluated at once."""

    def without(window: Window, counted: Counted) -> Window:
        left = window.less(counted)
        return replace(left, first_key=given.first_key, last_key=given.last_key) if left.events > 0 else NOTHING

    windows = {name: without(w, given.counts.get(name, (0, 0, 0))) for name, w in state.windows.items()}
    return replace(state, window=without(state.window, given.total), windows=windows, lapsed=False, refused="")


def _later(one: float | None, other: float | None) -> float | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)


def _window(given: Arrived, counted: Counted, now: float) -> Window:
    """The window that has this event only."""
    parts = {given.part: (given.offset, given.offset)} if given.part else {}
    time, label, ranges = given.time, given.label, ((given.seq, given.seq),)
    return Window(*counted, now, now, time, time, label, label, ranges, True, parts)


def _slot_due(rule: CompiledRule, state: State, given: SlotDue, now: float) -> Folded:
    trigger = rule.schedules.get(given.trigger)
    if trigger is None:
        return state, [], []
    cursor = state.cursors.get(given.trigger) or Cursor(now, None)
    cursor, dropped = queue(trigger, cursor, (given.slot,))
    return replace(_anew(state, given.trigger), cursors={**state.cursors, given.trigger: cursor}), [], dropped


_FOLDS: Mapping[type, _Fold] = {
    Arrived: _only(_arrived),
    Sampled: _sampled,
    UpstreamEnded: _only(_followed),
    PromotionReported: _only(lambda state, given, now: judged(state, now, promoted=given.promoted)),
    Imported: _only(_imported),
    Wake: _only(lambda state, _given, _now: state),
    SlotDue: _slot_due,
    Ended: ended,
    Reopened: _only(lambda state, _given, _now: replace(state, active=state.active + 1)),
    Manual: _only(_asked),
    Backfill: _only(_backfilled),
    Withdrawn: _only(_withdrawn),
    Resumed: _only(lambda state, _given, _now: replace(state, broken=False, failures=0, quarantine=None)),
    Quarantined: _only(lambda state, given, now: replace(state, quarantine=Quarantine(now, given.error))),
    Unrendered: unrendered,
    Spoiled: _only(_spoiled),
}
