"""Limits that rules share, and the rules that a limit holds now."""

from typing import Annotated, Any

from fastapi import APIRouter

from retrainer.api.parameters import Context
from retrainer.api.sight import Sees
from retrainer.api.verdicts import Verdict, Verdicts
from retrainer.api.views import Id, Moment, Phase, View, words
from retrainer.engine.runs import limits_in_use
from retrainer.rules.outcome import Reason

router = APIRouter(tags=["rules"])
HELD = 50
"""Rules that are named; the others are counted."""
AT_ONCE = 50
"""Verdicts that are made for an answer: 25 ms."""
LIMITS = (
    Reason.COOLDOWN,
    Reason.OVERLAP,
    Reason.MUTED,
    Reason.BUDGET,
    Reason.INHIBITED,
    Reason.CIRCUIT_OPEN,
    Reason.PAUSED,
    Reason.DEADLINE,
)
"""Reasons that are limits."""


class PoolRun(View):
    run: Id
    rule: str
    key: str
    phase: Phase
    since: Moment
    """When it took its place; of one that waits: when it was created."""


class QueuedRun(PoolRun):
    place: int
    """1 is the next one to start."""
    priority: int
    not_before: Moment | None = None
    """It does not start earlier, as it is a retry."""


class PoolUse(View):
    name: str
    size: int | None
    """Number of places; null if the pool is no longer configured, so that it limits nothing."""
    used: int
    waiting: int
    rules: int
    """How many rules use it."""
    holders: list[PoolRun]
    """Who holds places, the longest first; the first 20."""
    queue: list[QueuedRun]
    """Who waits, in the order in which they start; the first 20."""


class Spender(View):
    rule: str
    """Empty for all rules that the caller may not see."""
    runs: int
    gpu_hours: float
    active: int
    """Runs that have not ended; their GPU hours are reserved."""


class BudgetUse(View):
    name: str
    per: float
    """Length of the period in seconds."""
    runs: int | None
    """Runs allowed; null for no limit."""
    gpu_hours: float | None
    spent_runs: int
    spent_gpu_hours: float
    left_runs: int | None
    left_gpu_hours: float | None
    exhausted: bool
    """No run may start now."""
    detail: str
    renews_at: Moment | None
    """When the oldest use leaves the period, so that something is available again."""
    rules: int
    """How many rules share it."""
    spenders: list[Spender]
    """Who used most within the period; at most 20."""


class CalendarState(View):
    name: str
    active: bool
    changes_at: Moment | None
    """When it ends or begins; null for never."""
    mutes: list[str]
    """Rules whose runs it holds, at most 20."""
    mutes_count: int
    excepts: list[str]
    """Rules whose slots it skips, at most 20."""
    excepts_count: int


class HeldRule(View):
    rule: str
    reason: Annotated[str, words(LIMITS)]
    verdict: str
    since: Moment | None
    """Since when the last decision is the same, if known."""
    until: Moment | None
    """When it ends, if known."""


class HeldCount(View):
    reason: str
    rules: int


class LimitsView(View):
    pools: list[PoolUse]
    budgets: list[BudgetUse]
    """Budgets that several rules share."""
    calendars: list[CalendarState]
    """Those that rules use."""
    held: list[HeldRule]
    """Rules that a limit holds now, the first 50 by reason. Rules with `for_each` are not included."""
    held_counts: list[HeldCount]
    """How many rules each limit holds."""
    known: int
    """Of so many rules the verdict is known; the others follow within seconds."""
    rules: int


@router.get("/limits", response_model=LimitsView)
def show_limits(api: Context, sees: Sees) -> Any:
    """Pools, shared budgets and calendars as they are now, and the rules that a limit holds."""
    catalog, now = api.engine.catalog, api.engine.clock.now()
    counts = _looked_at(api.rules.verdicts).counts(sees.rules)
    by = {reason: sum(n for (_, each), n in counts.by.items() if each == reason) for reason in LIMITS}
    names = limits_in_use.budgets(catalog, sees)
    return {
        "pools": api.read(limits_in_use.pools, catalog, sees, now),
        "budgets": [api.read(limits_in_use.budget, catalog, name, sees, now) for name in names],
        "calendars": limits_in_use.CalendarUse(catalog, sees.rules).at(now),
        "held": [_held(verdict) for verdict in _verdicts(api, sees)][:HELD],
        "held_counts": [{"reason": reason.value, "rules": count} for reason, count in by.items() if count],
        "known": counts.known,
        "rules": counts.rules,
    }


def _looked_at(verdicts: Verdicts) -> Verdicts:
    """Make the first verdicts that are missing, so that a few rules are known at once."""
    verdicts.look()
    verdicts.catch_up()
    verdicts.hurry(AT_ONCE)
    return verdicts


def _verdicts(api: Context, sees: Sees) -> list[Verdict]:
    found = [verdict for verdict in api.rules.verdicts.known(sees.rules) if verdict.reason in LIMITS]
    return sorted(found, key=lambda verdict: (LIMITS.index(Reason(verdict.reason)), verdict.rule))


def _held(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in ("rule", "reason", "verdict", "since", "until")}
