"""Named requests with their answers: a repeated request returns the stored answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, Row, select

from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.rows import dump

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.engine.core.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Request:
    """A stored request: ``at`` (epoch seconds), ``asked`` (its content) and ``answer``."""

    name: str
    at: float
    asked: Mapping[str, Any]
    answer: dict[str, Any]


def known(conn: Connection, name: str) -> Request | None:
    row = conn.execute(select(t.requests).where(t.requests.c.name == name)).first()
    return _request(row) if row is not None else None


def last(conn: Connection, rule: str, key: str, begins: str) -> Request | None:
    """Return the newest request of a (rule, key) whose name has this prefix."""
    c = t.requests.c
    those = select(t.requests).where(c.rule == rule, c.key == key, c.name.startswith(begins, autoescape=True))
    row = conn.execute(those.order_by(c.at.desc(), c.name.desc()).limit(1)).first()
    return _request(row) if row is not None else None


def remember(
    tx: Transaction, where: tuple[str, str], name: str, asked: Mapping[str, Any], answer: Mapping[str, Any]
) -> None:
    """Store a request of (rule, key) with its answer, as of now."""
    texts = {"asked": dump(asked), "answer": dump(answer)}
    row = {"name": name, "rule": where[0], "key": where[1], "at": tx.now, **texts}
    statements.put_all(tx.conn, t.requests, [row])


def _request(row: Row[Any]) -> Request:
    return Request(row.name, row.at, orjson.loads(row.asked), orjson.loads(row.answer))
