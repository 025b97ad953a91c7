"""Paged, bounded reads of the store for API and CLI; see `pages`."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import func, select, tuple_
from ulid import ULID

from retrainer.runs.run import LIVE
from retrainer.store import pages
from retrainer.store import tables as t
from retrainer.store.pages import (
    FIRST_PAGE,
    Filters,
    Page,
    PageRequest,
    PageRows,
    between,
    equal,
    newest,
    number_at,
    numbers,
    one,
    page_of,
    rows_of,
    within,
)
from retrainer.store.scope import ALL, Scope, among

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Select

_SOURCES, _POSITIONS, _EVENTS, _RUNS = t.sources.c, t.positions.c, t.events.c, t.runs.c
_DECISIONS, _DEAD_LETTERS, _SLOTS, _STATES = t.decisions.c, t.dead_letters.c, t.slots.c, t.states.c
# Columns that lists of runs omit: some can be large.
_LONG = frozenset(("submit", "labels", "window", "taken", "lease_until", "submit_attempts", "released"))


RECENT = 1000
"""Runs that ended last, of which those of a limited scope are looked for."""
SHORTEST_ID = 4
"""Minimum characters of the beginning of a run's id."""
ULID_LENGTH, ULID_TIME = 26, 10
LAST_CHARACTER = "\U0010ffff"
"""No text that is compared bytewise follows it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """When a source was first configured, and when it last delivered something (None if never), in epoch seconds."""

    first_seen_at: float
    last_event_at: float | None


def heard(conn: Connection) -> dict[str, Heard]:
    """Return every source that was ever configured, by name."""
    return {
        row.name: Heard(row.first_seen_at, row.last_event_at)
        for row in conn.execute(select(_SOURCES.name, _SOURCES.first_seen_at, _SOURCES.last_event_at))
    }


def silent(max_silence: float | None, heard: Heard | None, now: float) -> bool | None:
    """Whether a source received nothing for longer than `max_silence` seconds; None if it has no such limit.

    Counted from the last event; before the first one, from when the source was first configured.
    """
    if max_silence is None:
        return None
    return heard is not None and now - (heard.last_event_at or heard.first_seen_at) > max_silence


def positions(conn: Connection, source: str) -> list[dict[str, Any]]:
    """Return the position of each partition of a source: `partition`, `next`, `topic_id`, by partition."""
    return rows_of(
        conn.execute(
            select(_POSITIONS.partition, _POSITIONS.next, _POSITIONS.topic_id)
            .where(_POSITIONS.source == source)
            .order_by(_POSITIONS.partition)
        )
    )


def runs(
    conn: Connection,
    /,
    *,
    ended: bool | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
    **wanted: str | None,
) -> Page:
    """List runs by time of creation, newest first, without the columns that only `run` returns. The cursor is an id.

    ``wanted``: the rule, key, phase and trigger that they have, each None if it may be any.
    """
    columns = select(*(column for column in t.runs.columns if column.name not in _LONG))
    rule, phase = wanted.get("rule"), wanted.get("phase")
    of_rule = equal({_RUNS.rule: rule, _RUNS.key: wanted.get("key")})
    others = equal({_RUNS.phase: phase, _RUNS.trigger: wanted.get("trigger")})
    others += among(_RUNS.namespace, scope.namespaces) + ([_RUNS.ended_at.is_not(None)] if ended else [])
    if phase in LIVE or ended is False:  # added to use the partial index of live runs, which is small
        of_rule, others = [*of_rule, *others, _RUNS.ended_at.is_(None)], []
    elif rule is None:
        of_rule, others = [], of_rule + others
    of_rule += between(_RUNS.id, *(first_id(moment) for moment in (page.since, page.until)))
    return newest(conn, columns, _RUNS.id, Filters(of_rule, others), page)


def last_ended(conn: Connection, limit: int, scope: Scope = ALL) -> list[dict[str, Any]]:
    """Return the runs that ended last, the latest first, with the columns of `runs`.

    Of a limited scope, those among the last `RECENT` of all.
    """
    newest = select(_RUNS.id, _RUNS.namespace, _RUNS.ended_at).where(_RUNS.ended_at.is_not(None))
    found = newest.order_by(_RUNS.ended_at.desc()).limit(RECENT if scope.limited else limit).subquery().c
    ids = select(found.id).where(*among(found.namespace, scope.namespaces)).order_by(found.ended_at.desc()).limit(limit)
    columns = select(*(column for column in t.runs.columns if column.name not in _LONG))
    rows = rows_of(conn.execute(columns.where(_RUNS.id.in_(list(conn.scalars(ids))))))
    return sorted(rows, key=itemgetter("ended_at", "id"), reverse=True)


def first_id(moment: float | None) -> str | None:
    """Return the lowest id that a run or an act of this time may have: ids begin with the time of creation."""
    return f"{str(ULID.from_timestamp(max(moment, 0.0)))[:ULID_TIME]:0<{ULID_LENGTH}}" if moment is not None else None


def run(conn: Connection, run_id: str) -> dict[str, Any] | None:
    """Return all columns of a run, or None if there is none with that id."""
    return one(conn, select(t.runs).where(_RUNS.id == run_id))


def run_id(conn: Connection, given: str, scope: Scope = ALL) -> str:
    """Return the id of a run, given as its id, the beginning of it, or the name of its Workflow.

    Raise LookupError if there is no such run in ``scope``, ValueError if several ids begin so.
    """
    wanted = given.rpartition("-")[2].upper()
    matching = select(_RUNS.id).where(_RUNS.id >= wanted, _RUNS.id <= wanted + "Z" * ULID_LENGTH)
    matching = matching.where(*among(_RUNS.namespace, scope.namespaces))
    found = conn.scalars(matching.order_by(_RUNS.id.desc()).limit(2)).all() if len(wanted) >= SHORTEST_ID else []
    if wanted in found:
        return wanted
    if not found:
        raise LookupError(f"there is no run {given}")
    if len(found) > 1:
        raise ValueError(f"several runs begin with {given}, such as {found[0]} and {found[1]}: give more of the id")
    return str(found[0])


def fed(conn: Connection, run: str) -> dict[str, Any]:
    """Return a run with the window of its inputs. For a manual retry, that is the window of the chain's first attempt.

    Raise LookupError if there is no such run.
    """
    columns = (
        _RUNS.id,
        _RUNS.rule,
        _RUNS.key,
        _RUNS.trigger,
        _RUNS.reason,
        _RUNS.workflow,
        _RUNS.namespace,
        _RUNS.chain,
        _RUNS.created_at,
        _RUNS.window,
    )
    found = one(conn, select(*columns).where(_RUNS.id == run))
    if found is None:
        raise LookupError(f"there is no run {run}")
    if found["window"] or found["chain"] in ("", run):
        return found
    window = conn.execute(select(_RUNS.window).where(_RUNS.id == found["chain"])).scalar()
    return {**found, "window": orjson.loads(window) if window is not None else {}}


def run_inputs(conn: Connection, run: str, page: PageRequest = FIRST_PAGE) -> Page:
    """List the input events of a run in the order of arrival. The cursor is an event's `seq`.

    Pruned events are not listed. Raise LookupError if there is no such run.
    """
    told = fed(conn, run)
    return counted(conn, told["rule"], told["key"], told["window"].get("ranges", ()), page)


def counted(
    conn: Connection, rule: str, key: str, ranges: Iterable[tuple[int, int]], page: PageRequest = FIRST_PAGE
) -> Page:
    """List the events of these ranges of `seq` that a rule and key counted, in the order of arrival."""
    found = select(_STATES.id).where(_STATES.rule == rule, _STATES.key == key)
    state = conn.execute(found).scalar()
    first, end = numbers(conn, _EVENTS.seq, _EVENTS.at, page)
    after = max(page.cursor or 0, (first or 1) - 1)
    rows = PageRows(conn, page.limit)
    for lo, hi in sorted(ranges):
        if hi > after and not rows.full:
            rows.take(_inputs(state, max(lo, after + 1), hi if end is None else min(hi, end - 1)))
    return Page(rows.items, rows.items[-1]["seq"] if rows.full else None)


def _inputs(state: int | None, lo: int, hi: int) -> Select[Any]:
    joined = select(t.events).join(t.inputs, t.inputs.c.seq == _EVENTS.seq)
    within = joined.where(t.inputs.c.state == state, t.inputs.c.seq.between(lo, hi))
    return within.order_by(t.inputs.c.seq)


def events(
    conn: Connection,
    *,
    source: str | None = None,
    outcome: str | None = None,
    matched: tuple[str, str | None] | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List accepted events, newest first. ``matched``: only those that matched this rule, with this key if it is given.

    The cursor is a `seq`.
    """
    wanted = equal({_EVENTS.source: source, _EVENTS.outcome: outcome}) + among(_EVENTS.source, scope.sources)
    if matched is not None:
        wanted.append(_EVENTS.rules.contains(_pair(*matched), autoescape=True))
    received = between(_EVENTS.seq, *numbers(conn, _EVENTS.seq, _EVENTS.at, page))
    found = newest(conn, select(t.events), _EVENTS.seq, Filters(received, wanted), page)
    if matched is not None and matched[1] is not None:
        # LIKE ignores case, but keys are case-sensitive.
        return Page([item for item in found.items if list(matched) in item["rules"]], found.next)
    return found


def _pair(rule: str, key: str | None) -> str:
    """Return a substring of the stored list of rules, e.g. [["churn","de"],["basket",""]]."""
    if key is None:
        return orjson.dumps([rule]).decode()[:-1] + ","
    return orjson.dumps([rule, key]).decode()


def event(conn: Connection, seq: int) -> dict[str, Any] | None:
    """Return an event, or None if there is none with this number (any more)."""
    return one(conn, select(t.events).where(_EVENTS.seq == seq))


def decisions(
    conn: Connection,
    *,
    rule: str | None = None,
    key: str | None = None,
    decision: str | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List decisions, newest first. Consecutive equal ones are one row with a `count`. The cursor is an id."""
    by, others = equal({_DECISIONS.rule: rule, _DECISIONS.key: key}), equal({_DECISIONS.decision: decision})
    others += among(_DECISIONS.rule, scope.rules)
    if rule is None or key is None:
        by, others = [], by + others
    if page.until is not None:
        by.append(_DECISIONS.id < number_at(conn, _DECISIONS.id, _DECISIONS.first_at, page.until))
    if page.since is not None:  # a row that began earlier lasts until its last decision
        others.append(_DECISIONS.last_at >= page.since)
    return newest(conn, select(t.decisions), _DECISIONS.id, Filters(by, others), page)


def dead_letters(
    conn: Connection,
    *,
    source: str | None = None,
    reason: str | None = None,
    rule: str | None = None,
    scope: Scope = ALL,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List dead letters without their payload, newest first. The cursor is an id."""
    columns = select(*(column for column in t.dead_letters.columns if column.name not in ("payload", "size")))
    columns = columns.add_columns(func.coalesce(_DEAD_LETTERS.size, func.length(_DEAD_LETTERS.payload)).label("size"))
    wanted = equal({_DEAD_LETTERS.source: source, _DEAD_LETTERS.reason: reason, _DEAD_LETTERS.rule: rule})
    wanted += among(_DEAD_LETTERS.source, scope.sources)
    wanted += among(_DEAD_LETTERS.rule, {"", *scope.rules} if scope.rules is not None else None)
    stored = between(_DEAD_LETTERS.id, *numbers(conn, _DEAD_LETTERS.id, _DEAD_LETTERS.at, page))
    return newest(conn, columns, _DEAD_LETTERS.id, Filters(stored, wanted), page)


def dead_letter(conn: Connection, number: int) -> dict[str, Any] | None:
    """Return a dead letter with its payload (bytes), or None if there is none with this id."""
    return one(conn, select(t.dead_letters).where(_DEAD_LETTERS.id == number))


def slots(
    conn: Connection,
    rule: str,
    *,
    key: str | None = None,
    page: PageRequest = FIRST_PAGE,
) -> Page:
    """List schedule slots of a rule, newest first. The cursor is (slot, key, trigger)."""
    query = select(t.slots).where(*equal({_SLOTS.rule: rule, _SLOTS.key: key}), *within(page, _SLOTS.slot))
    if page.cursor is not None:
        query = query.where(tuple_(_SLOTS.slot, _SLOTS.key, _SLOTS.trigger) < page.cursor)
    ordered = query.order_by(_SLOTS.slot.desc(), _SLOTS.key.desc(), _SLOTS.trigger.desc())
    return page_of(conn, ordered, page.limit, itemgetter("slot", "key", "trigger"))


def states(conn: Connection, rule: str, page: PageRequest = FIRST_PAGE, prefix: str = "") -> Page:
    """List the keys of a rule with their states, by key. The cursor is a key; the time is that of the last change.

    With ``prefix``, only keys that begin with it.
    """
    after = [_STATES.key > page.cursor] if page.cursor is not None else []
    after += [_STATES.key >= prefix, _STATES.key < prefix + LAST_CHARACTER] if prefix else []
    keys = select(_STATES.key).where(_STATES.rule == rule, *after).order_by(_STATES.key)
    last = conn.execute(keys.offset(pages.SCAN - 1).limit(1)).scalar() if page.has_period else None
    known = [_STATES.key <= last] if last is not None else []
    query = select(t.states).where(_STATES.rule == rule, *after, *known, *within(page, _STATES.touched_at))
    return page_of(conn, query.order_by(_STATES.key), page.limit, itemgetter("key"), last)
