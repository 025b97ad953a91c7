"""Runs around a run: what it follows, its other attempts, and what followed it. Each is a short read by an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from retrainer.store import tables as t
from retrainer.store.pages import rows_of
from retrainer.store.queries import first_id
from retrainer.store.scope import Scope, among

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection

_C = t.runs.c
_BRIEF = (_C.id, _C.rule, _C.key, _C.phase, _C.chain, _C.attempt, _C.created_at, _C.ended_at, _C.cause)
FOLLOWERS = 100
"""Runs of a downstream rule that are looked at."""
ATTEMPTS = 20


def brief(conn: Connection, run: str, scope: Scope) -> dict[str, Any] | None:
    """Return what is needed of a run to show it beside others; None if there is none in ``scope``."""
    return next(iter(_found(conn, scope, 1, _C.id == run)), None)


def attempts(conn: Connection, chain: str, scope: Scope) -> list[dict[str, Any]]:
    """Return the runs of a chain, the first attempt first."""
    return _found(conn, scope, ATTEMPTS, _C.chain == chain)


def followed(
    conn: Connection, upstream: Collection[str], rule: str, since: float, scope: Scope
) -> list[dict[str, Any]]:
    """Return the runs of a rule that follow some runs, of the first `FOLLOWERS` ones created at ``since`` or later."""
    rows = _found(conn, scope, FOLLOWERS, _C.rule == rule, _C.id >= first_id(since))
    return [row for row in rows if row["cause"].get("upstream") in upstream]


def _found(conn: Connection, scope: Scope, limit: int, *where: ColumnElement[bool]) -> list[dict[str, Any]]:
    wanted = select(*_BRIEF).where(*where, *among(_C.namespace, scope.namespaces))
    return rows_of(conn.execute(wanted.order_by(_C.id).limit(limit)))
