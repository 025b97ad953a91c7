"""Backfills: which slots of a period would run, which would not and why, and when the last of them would start."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from retrainer.config.models import DURATION_PATTERN, parse_duration
from retrainer.rules.cooldown import cooldown_end, rest_for
from retrainer.rules.limits import muted_until
from retrainer.rules.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State
    from retrainer.rules.triggers.schedule import CompiledSchedule

MOST = 1000
"""Maximum number of slots of a period, and of requests that wait for one (rule, key)."""
Slot = tuple[str, float]
"""Name of a schedule, and a time in epoch seconds."""


@dataclass(frozen=True, slots=True)
class BackfillRecord:
    """The stored record of a slot. ``phase`` is that of its run, None if the run is not stored any more.

    ``started`` is false if the run ended before it had a Workflow.
    """

    outcome: str
    reason: str
    run: str | None = None
    phase: str | None = None
    live: bool = False
    started: bool = True


@dataclass(frozen=True, slots=True)
class KnownSlot:
    """What is stored about slots.

    ``records`` are by slot; ``missed`` has ranges of slots by trigger, ends included. ``told`` is the last slot that
    each schedule has processed. ``due`` are slots that wait for a run or are being delivered to the keys; ``waiting``
    are requested slots. ``forgotten`` is a period (after, up to) whose records may have been removed, if any.
    """

    records: Mapping[Slot, BackfillRecord] = field(default_factory=dict)
    missed: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    told: Mapping[str, float] = field(default_factory=dict)
    due: Collection[Slot] = ()
    waiting: Collection[Slot] = ()
    forgotten: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """Whether a slot will run, and why. ``run`` is the run that it had before."""

    trigger: str
    slot: float
    runs: bool
    why: str
    run: str | None = None


def moment_in(text: str, zone: str, now: float) -> float:
    """Parse a date or time in the zone, an RFC 3339 time, or a duration back from `now`. Return epoch seconds.

    Raise ValueError for anything else, and for times before 1970.
    """
    try:
        at = _read(text, zone, now)
    except (ValueError, OverflowError):
        at = -1.0
    if at >= 0:
        return at
    raise ValueError(
        f"{text!r} is not a time: write a date (2026-11-01) or a time (2026-11-01T02:30) of the schedule's zone, "
        "RFC 3339 (2026-11-01T02:30:00Z), or a duration back from now, such as 7d"
    )


def _read(text: str, zone: str, now: float) -> float:
    if re.match(DURATION_PATTERN, text):
        return now - parse_duration(text)
    moment = datetime.fromisoformat(text.upper())
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone_of(zone))).timestamp()


def schedules_of(rule: CompiledRule, trigger: str | None) -> list[CompiledSchedule]:
    """The named schedule, or all schedules if none is named. Raise ValueError with a correction."""
    if not rule.schedules:
        raise ValueError(
            f"{rule.name} has no schedule, so it has no slots: use `retrainer trigger {rule.name}` for a run, or "
            "`retrainer replay SOURCE` to count data that was not counted"
        )
    if trigger is None:
        return list(rule.schedules.values())
    if trigger not in rule.schedules:
        raise ValueError(f"{rule.name} has no schedule {trigger!r}; it has {', '.join(sorted(rule.schedules))}")
    return [rule.schedules[trigger]]


def slots_of(schedules: Sequence[CompiledSchedule], since: str, until: str | None, now: float) -> list[Slot]:
    """The slots from ``since`` to before ``until`` and now, oldest first. Raise ValueError for none, or too many."""
    found: list[Slot] = []
    for one in schedules:
        zone = one.schedule.timezone
        begin, end = moment_in(since, zone, now), min(moment_in(until, zone, now) if until is not None else now, now)
        if begin >= end:
            raise ValueError(f"the period from {since} to {until or 'now'} is empty: give an earlier `from`")
        found += [(one.name, slot) for slot in one.slots.between(begin - 0.001, end - 0.001, MOST + 1)]
    if len(found) > MOST:
        raise ValueError(f"there are more than {MOST} slots from {since} to {until or 'now'}: give a shorter period")
    return sorted(found, key=lambda slot: (slot[1], slot[0]))


def plan(rule: CompiledRule, slots: Sequence[Slot], known: KnownSlot, *, rerun: bool) -> list[Planned]:
    """Decide for each slot whether it runs. A slot that ran does not run again, unless ``rerun`` is set."""
    return [_plan(rule, slot, known, rerun=rerun) for slot in slots]


def _plan(rule: CompiledRule, slot: Slot, known: KnownSlot, *, rerun: bool) -> Planned:
    trigger, at = slot
    calendar = rule.schedules[trigger].slots.excepted(at)
    if calendar is not None:
        return Planned(trigger, at, runs=False, why=f"excluded by calendar {calendar}")
    if at > known.told.get(trigger, at):
        return Planned(trigger, at, runs=False, why="not due yet")
    if slot in known.due:
        return Planned(trigger, at, runs=False, why="due on its schedule, waiting for its run")
    if slot in known.waiting:
        return Planned(trigger, at, runs=False, why="requested already, waiting")
    record = known.records.get(slot)
    if record is not None and record.outcome == "fired":
        return _again(slot, record, rerun=rerun)
    if record is not None:
        return Planned(trigger, at, runs=True, why=f"{record.outcome}: {record.reason}")
    if any(first <= at <= last for first, last in known.missed.get(trigger, ())):
        return Planned(trigger, at, runs=True, why="missed")
    if known.forgotten is not None and known.forgotten[0] < at <= known.forgotten[1]:
        why = "its record was pruned, so it is unknown whether it ran"
        return Planned(trigger, at, runs=rerun, why=f"{why}; runs because of `rerun`" if rerun else why)
    return Planned(trigger, at, runs=True, why="no record")


def _again(slot: Slot, record: BackfillRecord, *, rerun: bool) -> Planned:
    if record.live:
        return Planned(*slot, runs=False, why=f"its run is active: {record.phase}", run=record.run)
    if not record.started:
        return Planned(*slot, runs=True, why=f"its run never started: {record.phase}", run=record.run)
    why = f"ran: {record.phase or 'its run is no longer in the store'}"
    return Planned(*slot, runs=rerun, why=f"{why}; runs again" if rerun else why, run=record.run)


@dataclass(frozen=True, slots=True)
class Pace:
    """What limits the rate of a backfill: the seconds that a run takes, and how many may run at once.

    At most ``most`` runs may start within ``per`` seconds, if it is not None. ``started``: past starts, oldest first.
    """

    lasts: float
    at_once: int
    most: int | None = None
    per: float = 0.0
    started: tuple[float, ...] = ()


def last_start(rule: CompiledRule, state: State, count: int, pace: Pace, now: float) -> float | None:
    """When the last of ``count`` runs would start, if no other run starts in between; None if never."""
    free = [now + pace.lasts] * min(state.active, pace.at_once) + [now] * max(pace.at_once - state.active, 0)
    heapify(free)
    starts = list(pace.started)
    rested = cooldown_end(rule, state) or now
    for _ in range(count):
        at = max(heappop(free), rested)
        if pace.most is not None and len(starts) >= pace.most:
            if pace.most < 1:
                return None
            at = max(at, starts[-pace.most] + pace.per)
        until = muted_until(rule, at)
        if until is not None and until <= at:
            return None
        at = until if until is not None else at
        starts.append(at)
        heappush(free, at + pace.lasts)
        rested = _rested(rule, state, at, pace.lasts)
    return starts[-1]


def _rested(rule: CompiledRule, state: State, started: float, lasts: float) -> float:
    cooldown = rule.rule.limits.cooldown
    if cooldown is None:
        return started
    return started + rest_for(rule, state) + (0.0 if cooldown.from_ == "fired" else lasts)
