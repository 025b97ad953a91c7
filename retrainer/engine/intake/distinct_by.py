"""Values counted by `distinct_by`: each value counts once in a window, with the size and rows of its last event.

Rows with an empty chain belong to the pending window. Other rows belong to the chain of runs that took their window.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, tuple_, update

from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Collection

    from retrainer.rules.window import Counted

_T = t.distincts
_C = _T.c
PENDING = ""
LONGEST = 1024
"""Maximum size of a stored value in bytes (limit of the store's index). A longer value is stored as its hash."""


@dataclass(frozen=True, slots=True)
class LastEvent:
    """What the store keeps of the last event of a value, named like its columns."""

    bytes: int
    rows: int
    sequencer: str


def count(conn: Connection, state: int, trigger: str, value: str, event: LastEvent) -> Counted:
    """Record a value and return what it adds to the pending window: everything the first time, then only the growth.

    If events arrive out of order, the one with the later sequencer is kept. Only sequencers of equal length can be
    compared.
    """
    value = _stored(value)
    here = (_C.state == state, _C.trigger == trigger, _C.value == value, _C.chain == PENDING)
    known = conn.execute(select(_C.bytes, _C.rows, _C.sequencer).where(*here)).first()
    if known is None:
        conn.execute(insert(_T).values(state=state, trigger=trigger, value=value, chain=PENDING, **asdict(event)))
        return (1, event.bytes, event.rows)
    if older(event.sequencer, known.sequencer):
        return (0, 0, 0)
    conn.execute(update(_T).where(*here).values(asdict(event)))
    return (0, event.bytes - known.bytes, event.rows - known.rows)


def take_out(conn: Connection, state: int, trigger: str, value: str) -> Counted:
    """Remove a value from the pending window and return what it had added. For a value that only one event carried."""
    here = (_C.state == state, _C.trigger == trigger, _C.value == _stored(value), _C.chain == PENDING)
    known = conn.execute(select(_C.bytes, _C.rows).where(*here)).first()
    conn.execute(delete(_T).where(*here))
    return (0, 0, 0) if known is None else (1, known.bytes, known.rows)


def _stored(value: str) -> str:
    encoded = value.encode()
    return value if len(encoded) <= LONGEST else f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def older(sequencer: str, known: str) -> bool:
    """Whether ``sequencer`` is before ``known``. Only sequencers of equal length can be compared."""
    return bool(sequencer) and len(sequencer) == len(known) and sequencer < known


def give_to(conn: Connection, state: int, chain: str) -> None:
    """Move the pending window to the chain of the run that takes it."""
    conn.execute(update(_T).where(_C.state == state, _C.chain == PENDING).values(chain=chain))


def drop(conn: Connection, state: int) -> None:
    """Delete the pending window."""
    conn.execute(delete(_T).where(_C.state == state, _C.chain == PENDING))


def keep_only(conn: Connection, state: int, triggers: Collection[str]) -> None:
    """After an edit of the rule: delete the pending values of triggers that no longer exist, like their windows."""
    conn.execute(delete(_T).where(_C.state == state, _C.chain == PENDING, _C.trigger.not_in(list(triggers))))


def recounted(conn: Connection, chain: str) -> dict[str, Counted]:
    """Return the values of a chain's window that are pending again, by trigger, with the counts of the chain.

    The empty name holds the total of the rule: a value counts once there, whatever the number of its triggers.
    """
    sums: dict[str, Counted] = defaultdict(lambda: (0, 0, 0))
    seen: set[str] = set()
    for row in _twice(conn, chain):
        for name in {row.trigger, *(() if row.value in seen else ("",))}:
            events, size, rows = sums[name]
            sums[name] = (events + 1, size + row.bytes, rows + row.rows)
        seen.add(row.value)
    return dict(sums)


def spend(conn: Connection, chain: str) -> None:
    """Delete the window of a chain, because it is consumed."""
    conn.execute(delete(_T).where(_C.chain == chain))


def give_back(conn: Connection, chain: str) -> None:
    """Return the chain's window to pending. A value that arrived again in the meantime keeps its newer row."""
    twice = [(row.state, row.trigger, row.value) for row in _twice(conn, chain)]
    for i in range(0, len(twice), 500):
        these = tuple_(_C.state, _C.trigger, _C.value).in_(twice[i : i + 500])
        conn.execute(delete(_T).where(_C.chain == chain, these))
    conn.execute(update(_T).where(_C.chain == chain).values(chain=PENDING))


def _twice(conn: Connection, chain: str) -> list[Row[Any]]:
    again = _T.alias()
    same = (again.c.state == _C.state, again.c.trigger == _C.trigger, again.c.value == _C.value)
    query = select(_C.state, _C.trigger, _C.value, _C.bytes, _C.rows).join(again, and_(*same))
    return list(conn.execute(query.where(_C.chain == chain, again.c.chain == PENDING)))
