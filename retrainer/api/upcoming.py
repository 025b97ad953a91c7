"""The agenda: what all rules will decide if nothing arrives."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from pydantic import AfterValidator

from retrainer.api.description import problems
from retrainer.api.parameters import Context, Limit, Period
from retrainer.api.sight import Sees
from retrainer.api.views import PRINTABLE, Moment, View, words
from retrainer.engine.schedules.agenda import AgendaEntry, AgendaQuery, agenda
from retrainer.rules.compile import CompiledRule
from retrainer.rules.forecast import Coming, ForecastEntry
from retrainer.rules.outcome import Kind, Reason
from retrainer.sources.http.refusal import Refusal

router = APIRouter(tags=["rules"])
HOUR = 3600.0
_CURSOR = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?-[0-9]{1,9}")
ASSUMES = (
    "if no event, value or request arrives, and each run succeeds and takes as long as the last runs of its rule;"
    " rules that follow other rules are not included"
)


class Holding(View):
    """What would hold the run at that time."""

    kind: str
    """pool, budget, or a word of docs/reference/reasons.md."""
    name: str
    """Of the pool, the shared budget, or the calendars; else empty."""
    detail: str
    until: Moment | None = None
    """When it ends, if known."""


class Upcoming(View):
    at: Moment
    rule: str
    key: str
    kind: Annotated[str, words(Coming)]
    """schedule: a slot. data, metric, alert, freshness: a trigger that time satisfies. cooldown, calendar, budget,
    overlap: the end of what holds the rule. deadline, retry, manual, backfill: as in reasons."""
    trigger: str
    """Name of the trigger; empty if a limit ends."""
    slot: Moment | None = None
    """The slot of a schedule. `at` is later by its jitter."""
    zone: str
    """Of the schedule; else empty."""
    local: str
    """The slot in `zone`, such as `2027-03-28 03:00 CEST`."""
    outcome: Literal["fires", "waits", "held", "skipped", "each_key"]
    """waits: the run is created, and then waits for a pool or a shared budget. each_key: a slot that each key of the
    rule gets."""
    reason: str
    """A word of docs/reference/reasons.md."""
    detail: str
    """What happens and why, in words."""
    clock: str
    """What a change of the clock does to the slot; else empty."""
    shadow: bool
    """The rule is in shadow mode, so that no run is created."""
    held_by: list[Holding]


class UpcomingPage(View):
    items: list[Upcoming]
    next: str | None = None
    """`cursor` of the following page; null on the last one."""
    until: Moment
    """The end of the period; earlier than asked for if the service computed only up to it."""
    complete: bool
    """False if it computed only up to `until`. Ask for fewer rules, or for a shorter period."""
    assumes: str


def _readable(cursor: str) -> str:
    if not _CURSOR.fullmatch(cursor):
        raise ValueError("write `next` of the previous page")
    return cursor


UpcomingCursor = Annotated[
    str | None,
    Query(pattern=_CURSOR.pattern.join("^$"), description="`next` of the previous page"),
    AfterValidator(lambda cursor: cursor if cursor is None else _readable(cursor)),
]


@router.get("/upcoming", response_model=UpcomingPage, responses=problems(404))
def list_upcoming(
    api: Context,
    sees: Sees,
    period: Period,
    rule: Annotated[str | None, Query(max_length=63, pattern=PRINTABLE, description="Name of a rule")] = None,
    kind: Annotated[list[Coming] | None, Query(max_length=20, description="Kinds of entries")] = None,
    cursor: UpcomingCursor = None,
    limit: Limit = 100,
) -> Any:
    """What the rules will decide, in order of time: by default within an hour from now, if nothing else arrives."""
    catalog, now = api.engine.catalog, api.engine.clock.now()
    if rule is not None and (rule not in catalog.rules or not sees.has_rule(rule)):
        raise Refusal(404, f"there is no rule {rule!r}")
    since = period[0] if period[0] is not None else now
    until = period[1] if period[1] is not None else max(since, now) + HOUR
    query = AgendaQuery(since, until, limit, _position(cursor), rule, tuple(kind or ()), sees.rules)
    found = agenda(api.engine.store, catalog, query, now)
    return {
        "items": [_entry(catalog.rules[each.rule], each) for each in found.items],
        "next": None if found.next is None else f"{found.next[0]!r}-{found.next[1]}",
        "until": until if found.reached is None else min(until, found.reached),
        "complete": found.reached is None,
        "assumes": ASSUMES,
    }


def _position(cursor: str | None) -> tuple[float, int] | None:
    if cursor is None:
        return None
    at, _, shown = cursor.partition("-")
    return float(at), int(shown)


def _entry(rule: CompiledRule, found: AgendaEntry) -> dict[str, Any]:
    entry = found.entry
    schedule = rule.schedules.get(entry.trigger) if entry.slot is not None else None
    zone = schedule.schedule.timezone if schedule is not None else ""
    return {
        "at": entry.at,
        "rule": found.rule,
        "key": found.key,
        "kind": entry.kind,
        "trigger": entry.trigger,
        "slot": entry.slot,
        "zone": zone,
        "local": _local(entry.slot, zone) if entry.slot is not None and zone else "",
        "outcome": _outcome(found),
        "reason": entry.reason.value,
        "detail": entry.detail,
        "clock": entry.clock,
        "shadow": found.shadow,
        "held_by": [*_held_by(found), *_calendars(rule, found.entry)],
    }


def _local(slot: float, zone: str) -> str:
    return datetime.fromtimestamp(slot, ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M %Z")


def _outcome(found: AgendaEntry) -> str:
    if found.entry.every_key:
        return "each_key"
    if found.blockers:
        return "waits"
    return {Kind.FIRE: "fires", Kind.HOLD: "held", Kind.SKIP: "skipped"}[found.entry.decision]


def _held_by(found: AgendaEntry) -> list[dict[str, Any]]:
    entry = found.entry
    held = [{"kind": b.kind, "name": b.name, "detail": b.detail, "until": b.until} for b in found.blockers]
    if entry.decision is Kind.FIRE:
        return held
    name = entry.detail.rpartition("calendar ")[2] if entry.reason in (Reason.MUTED, Reason.CALENDAR) else ""
    return [{"kind": entry.reason.value, "name": name, "detail": entry.detail, "until": entry.until}, *held]


def _calendars(rule: CompiledRule, entry: ForecastEntry) -> Iterator[dict[str, Any]]:
    """Yield the calendars of `mute` that cover an entry which something else holds first."""
    for name, period in rule.mutes:
        if entry.reason is not Reason.MUTED and period.contains(entry.at):
            yield {"kind": "muted", "name": name, "detail": f"calendar {name}", "until": period.next_change(entry.at)}
