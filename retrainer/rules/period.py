"""How often a rule is meant to run; a rule that takes longer is late."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from retrainer.rules.condition import first_moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.triggers.schedule import CompiledSchedule

DAY = 86400.0
WEEK = 7 * DAY
EXCEPTED = 45 * DAY
"""How far to look if calendars except slots: a schedule may pause for weeks at the end of a year."""
RARE = 800 * DAY
MOST = 7 * 1440
"""Maximum number of slots: one week of minutes, so that any weekly pattern is complete."""


def periods(rules: Mapping[str, CompiledRule], now: float) -> dict[str, float]:
    """Seconds within which each rule is meant to run once. Rules that no schedule starts alone are left out.

    The result is the longest pause between two slots around ``now``, weekends and excepted days included. With several
    schedules it is that of the one with the shortest pauses. Pauses that repeat less often than weekly count only if
    they are near.
    """
    known: dict[tuple[object, ...], float | None] = {}
    found = {name: period(rule, now, known) for name, rule in rules.items() if rule.schedules}
    return {name: seconds for name, seconds in found.items() if seconds is not None}


def period(rule: CompiledRule, now: float, known: dict[tuple[object, ...], float | None]) -> float | None:
    """Return the period of one rule as in `periods`, None without one; ``known`` has those of equal schedules."""
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
    return condition is None or first_moment(condition, {trigger: 0.0}, frozenset()) is not None


def _longest_pause(compiled: CompiledSchedule, now: float) -> float | None:
    slots, near = compiled.slots, EXCEPTED if compiled.schedule.except_ else WEEK
    for span in (near, RARE):
        moments = [slot for slot in slots.between(now - span, now + span, MOST) if not slots.excepted(slot)]
        if len(moments) > 2:
            return max(later - earlier for earlier, later in pairwise(moments))
    return None
