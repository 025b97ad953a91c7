"""What was: why a rule did or did not run at some moment, and what an event did in each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import or_, select

from retrainer.engine.matching import author_of
from retrainer.event import Event, split_attributes
from retrainer.rules.explain_tree import moment
from retrainer.rules.judging import would_match
from retrainer.store import queries
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection, Row

    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.own import Author

MOST_MISSES = 20
"""Rules that an event just missed which are listed, by name."""
LOOKED_AT = 200
"""Runs of a rule that are looked through for the one that an event fed."""


def explain(conn: Connection, rule: str, key: str, at: float) -> dict[str, Any]:
    """The verdict of a moment that has passed, out of the decisions that were kept."""
    c = t.decisions.c
    of_rule = select(t.decisions).where(c.rule == rule, c.key == key)
    then = conn.execute(of_rule.where(c.first_at <= at).order_by(c.id.desc()).limit(1)).first()
    following = conn.execute(of_rule.where(c.first_at > at).order_by(c.id).limit(1)).first()
    runs = conn.execute(_on_the_way(rule, key, at)).all()
    name = f"{rule}[{key}]" if key else rule
    if then is None:
        line = f"{name}: nothing is known of {moment(at)}: the rule had decided nothing, or it was pruned"
    else:
        detail = f" ({then.detail})" if then.detail else ""
        line = f"{name} at {moment(at)}: {then.decision}: {then.reason}{detail}, {_how_often(then)}"
    nodes = [_node("decision", then), _node("the next one", following)]
    nodes += [{"name": "on the way", "state": r.phase, "detail": f"run {r.id}", "children": []} for r in runs]
    return {
        "rule": rule,
        "key": key,
        "verdict": line,
        "decision": then.decision if then is not None else "unknown",
        "reason": then.reason if then is not None else "unknown",
        "until": then.until if then is not None else None,
        "earliest": None,
        "tree": [node for node in nodes if node is not None],
    }


def _on_the_way(rule: str, key: str, at: float) -> Any:
    c = t.runs.c
    query = select(c.id, c.phase).where(c.rule == rule, c.key == key, c.born_at <= at)
    return query.where(or_(c.ended_at.is_(None), c.ended_at > at)).order_by(c.id)


def _how_often(row: Row[Any]) -> str:
    times: int = row._mapping["count"]  # noqa: SLF001 - SQLAlchemy's documented accessor; a row has a method of that name
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


def find(
    conn: Connection, rules: Iterable[CompiledRule], text: str, source: str | None, limit: int
) -> list[dict[str, Any]]:
    """Events of that number, id or subject, the newest first, each with what it did in each rule."""
    c = t.events.c
    named = [c.id == text, c.subject == text]
    if text.isascii() and text.isdigit():
        named.append(c.seq == int(text))
    wanted = [or_(*named)] + ([c.source == source] if source else [])
    rows = conn.execute(select(c.seq).where(*wanted).order_by(c.seq.desc()).limit(limit)).scalars().all()
    found = []
    for seq in rows:
        event = queries.event(conn, seq)
        if event is not None:
            found.append({**event, "effects": _effects(conn, list(rules), event)})
    return found


def _effects(conn: Connection, rules: list[CompiledRule], event: dict[str, Any]) -> list[dict[str, Any]]:
    """Rules that it matched, each with the run that took it; those that could not take it, and why.

    Then those that it just missed, as they are now.
    """
    told = [
        {"rule": rule, "key": key, "outcome": "matched", "run": _fed(conn, rule, key, event["seq"]), "detail": ""}
        for rule, key in event["rules"]
    ]
    told += _letters(conn, event)
    spoken = {one["rule"] for one in told}
    attributes, record = split_attributes(event["attributes"])
    envelope = {name: event[name] for name in ("source", "id", "type", "time", "data", "subject")}
    one = Event(**envelope, attributes=attributes, record=record)
    author = author_of(conn, one)
    for rule in rules:
        if rule.name in spoken:
            continue
        miss = _miss(rule, one, author)
        if miss:
            told.append({"rule": rule.name, "key": "", "outcome": "missed", "run": None, "detail": miss})
        if len(told) >= len(spoken) + MOST_MISSES:
            break
    return told


def _letters(conn: Connection, event: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of it in rules that could not take it."""
    c = t.dead_letters.c
    query = select(c.rule, c.reason, c.error).where(c.source == event["source"], c.event == event["id"])
    return [
        {"rule": row.rule, "key": "", "outcome": "dead_lettered", "run": None, "detail": f"{row.reason}: {row.error}"}
        for row in conn.execute(query.where(c.rule != "", c.at >= event["at"]).order_by(c.id).limit(MOST_MISSES))
    ]


def _miss(rule: CompiledRule, event: Event, author: Author | None) -> str:
    """What alone kept an event from a rule of its source; empty if more than one thing did."""
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
            return f"{judged['trigger']}: {failed[0]['name']} is not {failed[0]['expected']!r}"
        if not failed:
            return f"{judged['trigger']}: it would match now; the rule was another then, or had counted it already"
    return ""


def _fed(conn: Connection, rule: str, key: str, seq: int) -> str | None:
    """The run whose window has the event; None while it is pending."""
    c = t.runs.c
    query = select(c.id, c.window).where(c.rule == rule, c.key == key).order_by(c.id.desc()).limit(LOOKED_AT)
    for row in conn.execute(query):
        ranges = orjson.loads(row.window).get("ranges", ())
        if any(lo <= seq <= hi for lo, hi in ranges):
            return str(row.id)
    return None
