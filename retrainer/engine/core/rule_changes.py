"""The state fingerprints of past revisions of each rule. A state is revised only when it is next evaluated.

They are stored once for each rule, which costs some bytes for each edit. In the states they would cost them per key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, select

from retrainer.rules.fold import first_state, revise
from retrainer.rules.state import State, decode
from retrainer.rules.state_fingerprint import Dropped, dropped, meanings
from retrainer.store import statements
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Row

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule

_ROW = "meanings/"


def remember(conn: Connection, catalog: Catalog, in_use: Collection[tuple[str, str]]) -> list[Dropped]:
    """Store the fingerprints of the current rules. Return the trigger state that this drops.

    Those of earlier revisions are kept while a state has this revision: ``in_use`` are the (rule, revision) pairs of
    all stored states. The last revision is kept as well, as states that are not written yet may have it.
    """
    c = t.meta.c
    rows = conn.execute(select(c.name, c.value).where(c.name.startswith(_ROW, autoescape=True)))
    known = {name.removeprefix(_ROW): orjson.loads(value) for name, value in rows}
    found: list[Dropped] = []
    changed = []
    for rule in catalog.rules.values():
        revisions = known.get(rule.name, {})
        now = meanings(rule.rule)
        last = next(reversed(revisions), None)
        if last == rule.revision:
            continue
        if last is not None:
            found += dropped(rule.name, revisions[last], now)
        kept = {old: revisions[old] for old in revisions if old == last or (rule.name, old) in in_use}
        kept.pop(rule.revision, None)  # the current one is the last
        kept[rule.revision] = now
        changed.append({"name": f"{_ROW}{rule.name}", "value": orjson.dumps(kept).decode()})
    statements.put_all(conn, t.meta, changed)
    return found


def stale(conn: Connection, rule: CompiledRule, revision: str) -> frozenset[str]:
    """Return the triggers of an earlier revision whose state is invalid for the current rule."""
    value = conn.execute(select(t.meta.c.value).where(t.meta.c.name == f"{_ROW}{rule.name}")).scalar()
    before: Mapping[str, str] = orjson.loads(value).get(revision, {}) if value is not None else {}
    return frozenset(one.trigger for one in dropped(rule.name, before, meanings(rule.rule)))


def state_as_it_will_be(conn: Connection, rule: CompiledRule, key: str, now: float) -> State:
    """Return the state of a key as at its next evaluation: without what edits have dropped since it was written."""
    return of_row(conn, rule, key, statements.state_row(conn, rule.name, key), now)


def of_row(conn: Connection, rule: CompiledRule, key: str, row: Row[Any] | None, now: float) -> State:
    """Return `state_as_it_will_be` of a row that was read; None if there is none."""
    if row is None:
        return first_state(rule, key, now)
    state = decode(row.state)
    if row.revision == rule.revision:
        return state
    return revise(rule, key, state, now, stale(conn, rule, row.revision))[0]


def wake(conn: Connection, catalog: Catalog, in_use: Collection[tuple[str, str]], now: float) -> None:
    """Make states due that keep everything and that an edit may unblock: a limit has changed, a pause is over.

    States that lose something are left until their next evaluation. If the edit is reverted before, they lose nothing.
    Of these only quarantined states are made due, because an edit ends a quarantine.
    """
    for name, revision in in_use:
        rule = catalog.rules.get(name)
        if rule is None or rule.revision == revision:
            continue
        if stale(conn, rule, revision):
            statements.wake_quarantined(conn, name, revision, now)
        else:
            statements.wake_revision(conn, name, revision, now)
