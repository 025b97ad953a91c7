"""The past: why a rule did or did not fire at some time, and what an event did in each rule."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import or_, select

from retrainer.engine.intake.matching import author_of
from retrainer.event import Event, split_attributes
from retrainer.rules.trigger_answers import would_match
from retrainer.sources.formats.s3 import about
from retrainer.store import queries, search
from retrainer.store import tables as t
from retrainer.store.pages import Page
from retrainer.util import values
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Row

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.self_trigger import Author
    from retrainer.store.base import Store
    from retrainer.store.search import EventQuery

SUBJECTS = 20_000
"""Events per call whose subject is searched, newest first."""
MOST_SEQ = 2**63 - 1
_DIGITS = 19
"""Longer numbers exceed the sequence numbers of any ledger."""
MOST_MISSES = 20
"""Rules that an event just missed: so many are listed, by name."""
SHOWN_TO = 0.001
"""Seconds to which times are shown."""
LOOKED_AT = 200
"""Runs of a rule that are searched for the one that consumed an event."""


def explain(conn: Connection, rule: str, key: str, at: float) -> dict[str, Any]:
    """Return the verdict for a time in the past, from the stored decisions.

    Times are shown in milliseconds, cut off, so one of a decision that was shown finds that decision.
    """
    c = t.decisions.c
    of_rule = select(t.decisions).where(c.rule == rule, c.key == key)
    then = _newest_before(conn, rule, key, at)
    following = conn.execute(of_rule.where(c.first_at >= at + SHOWN_TO).order_by(c.id).limit(1)).first()
    runs = conn.execute(_on_the_way(rule, key, at)).all()
    name = f"{rule}[{key}]" if key else rule
    if then is None:
        line = (
            f"{name}: no decision is stored for {moment(at)}: the rule had decided nothing, or the decision was pruned"
        )
    else:
        detail = f" ({then.detail})" if then.detail else ""
        line = f"{name} at {moment(at)}: {then.decision}: {then.reason}{detail}, {_how_often(then)}"
    nodes = [_node("decision", then), _node("next decision", following)]
    nodes += [{"name": "active run", "state": r.phase, "detail": f"run {r.id}", "children": []} for r in runs]
    return {
        "rule": rule,
        "key": key,
        "verdict": line,
        "decision": then.decision if then is not None else "unknown",
        "reason": then.reason if then is not None else "unknown",
        "since": then.first_at if then is not None else None,
        "until": then.until if then is not None else None,
        "earliest": None,
        "tree": [node for node in nodes if node is not None],
    }


def run_started(conn: Connection, rule: str, key: str, at: float) -> str | None:
    """Return the run that was started at a time, to the millisecond; None if none was."""
    then = _newest_before(conn, rule, key, at)
    return then.run if then is not None and then.decision == "fire" and at <= then.last_at + SHOWN_TO else None


def held_since(conn: Connection, explanation: Mapping[str, Any]) -> float | None:
    """Return since when a current verdict holds: the first of the last equal decisions; None if others were stored."""
    last = _newest_before(conn, explanation["rule"], explanation["key"], math.inf)
    same = last is not None and (last.decision, last.reason) == (explanation["decision"], explanation["reason"])
    return last.first_at if last is not None and same else None


def _newest_before(conn: Connection, rule: str, key: str, at: float) -> Row[Any] | None:
    c = t.decisions.c
    begun = [c.first_at < at + SHOWN_TO] if at < math.inf else []
    query = select(t.decisions).where(c.rule == rule, c.key == key, *begun).order_by(c.id.desc())
    return conn.execute(query.limit(1)).first()


def _on_the_way(rule: str, key: str, at: float) -> Any:
    c = t.runs.c
    query = select(c.id, c.phase).where(c.rule == rule, c.key == key, c.created_at <= at)
    return query.where(or_(c.ended_at.is_(None), c.ended_at > at)).order_by(c.id)


def _how_often(row: Row[Any]) -> str:
    times: int = row._mapping["count"]  # noqa: SLF001 - SQLAlchemy's documented accessor; `count` is a method of rows
    if times == 1:
        return f"decided at {moment(row.first_at)}"
    return f"decided {times} times from {moment(row.first_at)} to {moment(row.last_at)}"


def _node(name: str, row: Row[Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    run = f"; run {row.run}" if row.run else ""
    until = f"; until {moment(row.until)}" if row.until else ""
    detail = f"{row.detail or row.decision}{until}{run}; {_how_often(row)}"
    return {"name": name, "state": row.reason, "detail": detail, "children": []}


def find(store: Store, rules: Iterable[CompiledRule], wanted: EventQuery) -> Page:
    """Return matching events, newest first, with the effects in each rule. Makes many short reads.

    Subjects have no index: each call searches `SUBJECTS` events, and ``next`` of the page says where to continue.
    """
    seqs, following = _seqs(store, wanted)
    compiled = list(rules)
    events = filter(None, (store.read(partial(queries.event, seq=seq)) for seq in seqs))
    return Page([{**event, "effects": _effects(store, compiled, event)} for event in events], following)


def _seqs(store: Store, wanted: EventQuery) -> tuple[list[int], int | None]:
    """Return sequence numbers of events, newest first, and where the next page starts; None at the end."""
    below = MOST_SEQ if wanted.below is None else wanted.below
    if wanted.until is not None:
        below = min(below, store.read(partial(search.number_at, moment=wanted.until)))
    first = store.read(partial(search.number_at, moment=wanted.since)) if wanted.since is not None else 1
    known = _indexed(store, wanted, below) if wanted.below is None else set()
    end = below
    for _ in range(SUBJECTS // search.PIECE):
        if len(known) >= wanted.limit or end <= first:
            break
        seqs, end = store.read(
            partial(search.by_subject, subject=wanted.text, source=wanted.source, below=end, limit=wanted.limit)
        )
        known.update(seqs)
    newest = sorted((seq for seq in known if seq >= first), reverse=True)[: wanted.limit]
    return newest, end if end > first else None


def _indexed(store: Store, wanted: EventQuery, below: int) -> set[int]:
    """Return the events with that number, id or object."""
    text, limit = wanted.text, wanted.limit
    known: set[int] = set()
    if text.isascii() and text.isdigit() and len(text) < _DIGITS:
        known.update(store.read(partial(search.by_number, seq=int(text), source=wanted.source)))
    bucket, _, key = text.partition("/")
    for source in [wanted.source] if wanted.source is not None else store.read(search.sources):
        known.update(store.read(partial(search.by_id, source=source, identity=text, below=below, limit=limit)))
        if key:
            beginning = about(bucket, key)
            known.update(
                store.read(partial(search.by_beginning, source=source, beginning=beginning, below=below, limit=limit))
            )
    return known


def _effects(store: Store, rules: list[CompiledRule], event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules that it matched, each with the run that consumed it; then rules that rejected it, and why.

    Then the rules that it just missed, by their current configuration.
    """
    effects = [
        {
            "rule": rule,
            "key": key,
            "outcome": "matched",
            "run": store.read(partial(_fed, rule=rule, key=key, seq=event["seq"])),
            "detail": "",
        }
        for rule, key in event["rules"]
    ]
    effects += store.read(partial(_letters, event=event))
    affected = {effect["rule"] for effect in effects}
    attributes, record = split_attributes(event["attributes"])
    envelope = {name: event[name] for name in ("source", "id", "type", "time", "data", "subject")}
    given = Event(**envelope, attributes=attributes, record=record)
    author = store.read(partial(author_of, event=given))
    for rule in rules:
        if rule.name in affected:
            continue
        miss = _miss(rule, given, author)
        if miss:
            effects.append({"rule": rule.name, "key": "", "outcome": "missed", "run": None, "detail": miss})
        if len(effects) >= len(affected) + MOST_MISSES:
            break
    return effects


def _letters(conn: Connection, event: dict[str, Any]) -> list[dict[str, Any]]:
    """Return its dead letters in rules."""
    c = t.dead_letters.c
    query = select(c.rule, c.reason, c.error).where(c.source == event["source"], c.event == event["id"])
    return [
        {"rule": row.rule, "key": "", "outcome": "dead_lettered", "run": None, "detail": f"{row.reason}: {row.error}"}
        for row in conn.execute(query.where(c.rule != "", c.at >= event["at"]).order_by(c.id).limit(MOST_MISSES))
    ]


def _miss(rule: CompiledRule, event: Event, author: Author | None) -> str:
    """Return the single reason why an event does not match a rule of its source; empty if there are several."""
    for judged in would_match(rule, event, author):
        conditions = judged.get("conditions", [])
        failed = [c for c in conditions if not c["holds"]]
        if not conditions or not conditions[0]["holds"]:
            continue
        if judged.get("error") and not failed:
            return f"{judged['trigger']}: {judged['error']}"
        if len(failed) == 1 and "said" in failed[0]:
            return f"{judged['trigger']}: its own output: {failed[0]['said']}"
        if len(failed) == 1:
            return f"{judged['trigger']}: {failed[0]['name']} is not {values.shown(failed[0]['expected'])}"
        if not failed:
            return f"{judged['trigger']}: it would match now; the rule was different then, or had counted it already"
    return ""


def _fed(conn: Connection, rule: str, key: str, seq: int) -> str | None:
    """Return the run whose window has the event; None while it is pending."""
    c = t.runs.c
    query = select(c.id, c.window).where(c.rule == rule, c.key == key).order_by(c.id.desc()).limit(LOOKED_AT)
    for row in conn.execute(query):
        ranges = orjson.loads(row.window).get("ranges", ())
        if any(lo <= seq <= hi for lo, hi in ranges):
            return str(row.id)
    return None
