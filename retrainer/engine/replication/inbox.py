"""The inbox: batches received by standby replicas, stored with their positions, folded by the leader in order.

The position of a partition moves by compare-and-set in the transaction that stores the batch, so that a batch is stored
once or refused. The batch is deleted in the transaction that folds it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from retrainer.engine.core.containment import no_refusals
from retrainer.engine.core.notifications import EventDeadLettered
from retrainer.engine.intake import partitions
from retrainer.engine.intake.dead_letters import MOST_BYTES, dead_letter
from retrainer.engine.intake.events import Unfinished, take_in
from retrainer.event import Event, Poison, split_attributes
from retrainer.sources.base import Batch, PositionLost
from retrainer.store import tables as t
from retrainer.store.packing import pack, unpack
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from retrainer.engine.core.transaction import Transaction

PAGE = 200
"""Maximum batches per transaction."""
MOST_ITEMS = 100_000
"""Maximum items that may wait in the inbox. Sources that offer more must retry."""
ACCEPTED = "accepted"
"""The outcome of an item that is stored, and that the leader will process."""
_C = t.inbox.c


def waiting(conn: Connection) -> int:
    """Return the number of items in the inbox."""
    return int(conn.execute(select(func.coalesce(func.sum(_C.size), 0))).scalar_one())


def put(conn: Connection, batch: Batch) -> list[str] | PositionLost:
    """Store a batch. Return the outcomes of its items, or PositionLost if another owner has claimed the partition."""
    if batch.offsets is not None and not partitions.move(conn, batch.source, batch.offsets):
        return PositionLost(f"{batch.source}: {batch.offsets.part} has another owner now")
    if batch.items:
        row = {"source": batch.source, "size": len(batch.items), "batch": pack(_to_json(batch))}
        conn.execute(insert(t.inbox).values(row))
    return [ACCEPTED] * len(batch.items)


def fold_in(tx: Transaction, source: str | None = None) -> bool:
    """Fold one page of the inbox, optionally of one source. Return whether there may be more."""
    query = select(_C.id, _C.source, _C.batch).order_by(_C.id).limit(PAGE)
    rows = tx.conn.execute(query if source is None else query.where(_C.source == source)).all()
    with no_refusals():
        answers = take_in(tx, [_batch(row) for row in rows])
    taken = rows[: len(answers)]
    for row, answer in zip(taken, answers, strict=True):
        if isinstance(answer, Exception):  # it was acknowledged, so it must leave a trace
            letter = EventDeadLettered(row.source, f"inbox/{row.id}", "unreadable", words(answer))
            dead_letter(tx, letter, row.batch.encode()[:MOST_BYTES])
    done = taken
    if answers and isinstance(answers[-1], Unfinished):
        rest = answers[-1].rest
        values = {"size": len(rest.items), "batch": pack(_to_json(rest))}
        tx.conn.execute(update(t.inbox).where(_C.id == taken[-1].id).values(values))
        done = taken[:-1]
    tx.conn.execute(delete(t.inbox).where(_C.id.in_([row.id for row in done])))
    return bool(rows) and (len(rows) == PAGE or len(done) < len(rows))


def _batch(row: Row[int, str, str]) -> Batch:
    try:
        return _from_json(row.source, unpack(row.batch))
    except Exception as error:  # noqa: BLE001 - no error in one batch may block those behind it
        return Batch(row.source, [Poison(row.source, f"inbox/{row.id}", row.batch.encode(), words(error))])


def _to_json(batch: Batch) -> dict[str, Any]:
    """Serialize a batch. Its position is moved already; replays and listings are never stored in the inbox."""
    return {
        "items": [_item_to_json(item) for item in batch.items],
        "identity_window": batch.identity_window,
        "tracked": batch.tracked,
    }


def _item_to_json(item: Event | Poison) -> dict[str, Any]:
    if isinstance(item, Poison):
        payload = base64.b64encode(item.payload).decode()
        return {"id": item.id, "error": item.error, "payload": payload, **({} if item.kept else {"kept": False})}
    return {
        "id": item.id,
        "type": item.type,
        "time": item.time,
        "data": item.data,
        "subject": item.subject,
        "attributes": item.shown_attributes(),
        "takes_back": item.takes_back,
    }


def _from_json(source: str, stored: dict[str, Any]) -> Batch:
    items = [_item_from_json(source, item) for item in stored["items"]]
    return Batch(source, items, stored["identity_window"], tracked=stored["tracked"], kept=True)


def _item_from_json(source: str, item: dict[str, Any]) -> Event | Poison:
    if "payload" in item:
        return Poison(source, item["id"], base64.b64decode(item["payload"]), item["error"], item.get("kept", True))
    fields = {name: value for name, value in item.items() if name in _OF_EVENTS}
    attributes, record = split_attributes(fields["attributes"])
    return Event(source, **{**fields, "attributes": attributes, "record": record})


_OF_EVENTS = frozenset(Event.__slots__) - {"record"}
"""Fields of an event. Others, written by a replica of a newer release, are ignored."""
