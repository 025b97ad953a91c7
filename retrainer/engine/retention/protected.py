"""Find the events that a pending window or a live run still needs. Only the states that counted them are read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
from sqlalchemy import delete, select, tuple_

from retrainer.rules.state import decode
from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from retrainer.engine.core.transaction import Transaction

Where = tuple[str, str]
_TOGETHER = 500
"""Maximum values in one SQL IN."""


@dataclass(slots=True)
class RetentionClaims:
    """Claims of (rule, key) pairs on events: ``states`` their state ids, ``ranges`` the ranges of `seq` they need."""

    seqs: dict[Where, list[int]]
    states: dict[Where, int] = field(default_factory=dict)
    ranges: dict[Where, list[Sequence[int]]] = field(default_factory=lambda: defaultdict(list))

    @property
    def needed(self) -> set[int]:
        return {
            seq
            for where, seqs in self.seqs.items()
            for seq in seqs
            if any(lo <= seq <= hi for lo, hi in self.ranges.get(where, ()))
        }


def claims_on(tx: Transaction, rows: Iterable[tuple[int, str]]) -> RetentionClaims:
    """Return the claims on these events, given as (seq, the ledger's JSON list of [rule, key]).

    Changes of this transaction are included.
    """
    seqs: dict[Where, list[int]] = defaultdict(list)
    for seq, rules in rows:
        for rule, key in orjson.loads(rules):
            seqs[rule, key].append(seq)
    claims = RetentionClaims(seqs)
    tx.writes.flush_runs()
    first, last = min(map(min, seqs.values()), default=0), max(map(max, seqs.values()), default=0)
    for rule, keys in _pages(seqs):
        _states(tx, claims, rule, keys)
        _live_runs(tx, claims, rule, keys)
    for where, ranges in claims.ranges.items():
        claims.ranges[where] = [(lo, hi) for lo, hi in ranges if lo <= last and hi >= first]
    return claims


def _pages(pairs: Collection[Where]) -> Iterator[tuple[str, list[str]]]:
    by_rule: dict[str, list[str]] = defaultdict(list)
    for rule, key in pairs:
        by_rule[rule].append(key)
    for rule, keys in by_rule.items():
        for at in range(0, len(keys), _TOGETHER):
            yield rule, keys[at : at + _TOGETHER]


def _states(tx: Transaction, claims: RetentionClaims, rule: str, keys: Sequence[str]) -> None:
    c = t.states.c
    for row in tx.conn.execute(select(c.id, c.key, c.state).where(c.rule == rule, c.key.in_(keys))):
        claims.states[rule, row.key] = row.id
        if (rule, row.key) not in tx.states.changed:
            claims.ranges[rule, row.key] += decode(row.state).window.ranges
    for key in keys:
        entry = tx.states.changed.get((rule, key))
        if entry is not None:
            claims.states[rule, key] = entry.id
            claims.ranges[rule, key] += entry.state.window.ranges


def _live_runs(tx: Transaction, claims: RetentionClaims, rule: str, keys: Sequence[str]) -> None:
    c = t.runs.c
    live = select(c.key, c.window).where(c.rule == rule, c.key.in_(keys), c.ended_at.is_(None))
    for row in tx.conn.execute(live):
        claims.ranges[rule, row.key] += orjson.loads(row.window).get("ranges", ())


def drop_inputs(tx: Transaction, claims: RetentionClaims, gone: Collection[int]) -> None:
    """Delete the input rows of these events, so that no manifest lists them any more."""
    wanted = set(gone)
    pairs = [
        (claims.states[where], seq)
        for where, seqs in claims.seqs.items()
        if where in claims.states
        for seq in seqs
        if seq in wanted
    ]
    c = t.inputs.c
    for at in range(0, len(pairs), _TOGETHER):
        tx.conn.execute(delete(t.inputs).where(tuple_(c.state, c.seq).in_(pairs[at : at + _TOGETHER])))
