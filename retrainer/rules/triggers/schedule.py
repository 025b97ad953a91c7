"""A schedule trigger is satisfied while one of its slots is due. Each slot gets exactly one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.rules.cron import Slots, jitter
from retrainer.rules.nodes import Node, node
from retrainer.rules.outcome import Reason, SlotRecord
from retrainer.rules.state import Cursor, State
from retrainer.rules.triggers.kind import CompiledTrigger, TriggerContext, TriggerKind
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from retrainer.config.models import Schedule

GRACE = 60.0
"""Seconds by which a slot may be late and still count as on time."""
MAX_RECOVERED = 1000
"""Maximum number of slots that `recover_missed: all` recovers."""


@dataclass(frozen=True, slots=True)
class CompiledSchedule(CompiledTrigger):
    """A schedule trigger of a rule."""

    name: str
    slots: Slots
    schedule: Schedule

    def explain(self, state: State, now: float) -> Node:
        cursor = state.cursors.get(self.name)
        if cursor is None:
            return node(self.name, "waiting", "the schedule applies to every live key")
        if cursor.due:
            return node(self.name, "satisfied", f"slot {moment(cursor.due[0])} is due")
        following = f"next slot at {moment(cursor.next_at)}" if cursor.next_at else "no further slot"
        return node(self.name, "waiting", following)

    def cause(self, state: State) -> dict[str, Any]:
        return {"slot": moment(state.cursors[self.name].due[0])}


@dataclass(frozen=True, slots=True)
class Ticked:
    """A cursor moved to now, its newly due slots, and the records of slots that will never be due."""

    cursor: Cursor
    due: tuple[float, ...]
    records: tuple[SlotRecord, ...]


def first_cursor(trigger: CompiledSchedule, seed: str, now: float) -> Cursor:
    """The cursor of a new rule. Slots before the rule first existed are not recovered."""
    return Cursor(now, _next_at(trigger, seed, now))


def going(trigger: CompiledSchedule, seed: str, cursor: Cursor, *, spoken: bool) -> Cursor:
    """A cursor after an edit that keeps the schedule; its jitter may differ. ``spoken``: this state fires the slots."""
    return Cursor(cursor.at, _next_at(trigger, seed, cursor.at) if spoken else None, cursor.due)


def tick(trigger: CompiledSchedule, seed: str, cursor: Cursor, now: float) -> Ticked:
    """All slots after the cursor and up to now that are due, jitter included."""
    newest = _newest_due(trigger, seed, cursor.at, now)
    if newest is None:
        return Ticked(Cursor(cursor.at, _next_at(trigger, seed, cursor.at), cursor.due), (), ())
    kept = _kept(trigger, seed, cursor.at, newest, now)
    records = _missed(trigger, cursor.at, newest, kept)
    due = []
    for slot in kept:
        if trigger.slots.excepted(slot) is None:
            due.append(slot)
        else:
            records.append(SlotRecord(trigger.name, slot, "skipped", Reason.CALENDAR, slot))
    return Ticked(Cursor(newest, _next_at(trigger, seed, newest), cursor.due), tuple(due), tuple(records))


def queue(trigger: CompiledSchedule, cursor: Cursor, slots: tuple[float, ...]) -> tuple[Cursor, list[SlotRecord]]:
    """Queue slots for a run: all of them in order with `recover_missed: all`, otherwise only the newest."""
    waiting = sorted({*cursor.due, *slots})
    keep = MAX_RECOVERED if trigger.schedule.recover_missed == "all" else 1
    dropped = [SlotRecord(trigger.name, slot, "skipped", Reason.SUPERSEDED, slot) for slot in waiting[:-keep]]
    return Cursor(cursor.at, cursor.next_at, tuple(waiting[-keep:])), dropped


def _next_at(trigger: CompiledSchedule, seed: str, after: float) -> float | None:
    slot = trigger.slots.after(after)
    return None if slot is None else slot + jitter(seed, slot, trigger.schedule.jitter)


def _newest_due(trigger: CompiledSchedule, seed: str, after: float, now: float) -> float | None:
    newest = trigger.slots.last(after, now)
    while newest is not None and newest + jitter(seed, newest, trigger.schedule.jitter) > now:
        newest = trigger.slots.last(after, newest - 0.001)
    return newest


def _kept(trigger: CompiledSchedule, seed: str, after: float, newest: float, now: float) -> list[float]:
    """The slots to run by `recover_missed`, oldest first."""
    schedule = trigger.schedule
    late = now - newest - jitter(seed, newest, schedule.jitter)
    if late > schedule.catchup_window and late > GRACE:
        return []
    if schedule.recover_missed == "none":
        return [newest] if late <= GRACE else []
    if schedule.recover_missed == "last":
        return [newest]
    start = max(after, now - schedule.catchup_window - schedule.jitter - 0.001)
    excess = trigger.slots.count(start, newest, 100 * MAX_RECOVERED) - MAX_RECOVERED
    slots = trigger.slots.between(start, newest, MAX_RECOVERED + max(excess, 0))
    return slots[-MAX_RECOVERED:]


def _missed(trigger: CompiledSchedule, after: float, newest: float, kept: list[float]) -> list[SlotRecord]:
    """One record for the range of slots before the first one that runs."""
    until = kept[0] - 0.001 if kept else newest
    last = trigger.slots.last(after, until)
    first = trigger.slots.after(after)
    if last is None or first is None:
        return []
    count = trigger.slots.count(after, last, 1_000_000)
    return [SlotRecord(trigger.name, first, "missed", Reason.MISSED, last, count)]


def _compile(schedule: Schedule, context: TriggerContext) -> CompiledSchedule:
    return CompiledSchedule(context.name, Slots(schedule, context.calendars), schedule)


KIND = TriggerKind(_compile, ("cron", "timezone"), fleeting=True)
