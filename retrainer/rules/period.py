"""How often a rule is meant to run: what makes it late."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from retrainer.rules.condition import first_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule, CompiledSchedule

DAY = 86400.0
WEEK = 7 * DAY
EXCEPTED = 45 * DAY
"""How far calendars of exceptions are looked at: a year's end shuts a schedule for weeks."""
RARE = 800 * DAY
MOST = 7 * 1440
"""Slots looked at: a week of minutes, so that whatever repeats weekly is seen whole."""


def periods(rules: Mapping[str, CompiledRule], now: float) -> dict[str, float]:
    """Seconds within which each rule is meant to run once; rules that no schedule starts by itself are left out.

    It is the longest pause between two slots around ``now``, weekends and excepted days included; of several schedules
    that of the one which pauses least. Pauses that repeat less often than weekly are seen only if they are near.
    """
    known: dict[tuple[object, ...], float | None] = {}
    found = {name: _period(rule, now, known) for name, rule in rules.items() if rule.schedules}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def _period(rule: CompiledRule, now: float, known: dict[tuple[object, ...], float | None]) -> float | None:
    pauses = []
    for name, compiled in rule.schedules.items():
        if not _alone(rule, name):
            continue
        asked = compiled.schedule
        same = (asked.cron, asked.timezone, asked.dst.missing, asked.dst.repeated, *asked.except_)
        if same not in known:
            known[same] = _longest_pause(compiled, now)
        if (pause := known[same]) is not None:
            pauses.append(pause)
    return min(pauses, default=None)


def _alone(rule: CompiledRule, trigger: str) -> bool:
    """Whether the trigger makes the rule due without any other."""
    condition = rule.when.condition
    return condition is None or first_moment(condition, {trigger: 0.0}) is not None


def _longest_pause(compiled: CompiledSchedule, now: float) -> float | None:
    slots, near = compiled.slots, EXCEPTED if compiled.schedule.except_ else WEEK
    for span in (near, RARE):
        moments = [slot for slot in slots.between(now - span, now + span, MOST) if not slots.excepted(slot)]
        if len(moments) > 2:
            return max(later - earlier for earlier, later in pairwise(moments))
    return None
