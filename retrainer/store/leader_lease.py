"""Leader election between replicas that share a store: one row names the replica that may write.

The epoch is a fencing token. A takeover increments it, and each transaction begins by asserting its own epoch: after a
takeover the old leader cannot commit anything, however long it was frozen. The row stays locked until the transaction
ends, so that no takeover happens within one.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Float, and_, cast, func, or_, select, text, update

from retrainer.store.tables import leader as t

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

LEASE = 10.0
"""Seconds without a renewal after which another replica may take over. Every transaction renews the lease."""

_C = t.c
_ROW = _C.name == "daemon"
NOW: ColumnElement[float] = cast(func.extract("epoch", func.clock_timestamp()), Float)
"""The database's clock in epoch seconds, at the time of evaluation and not at the start of the transaction."""

_OVER = or_(_C.lease_until < NOW, _C.lease_until > NOW + 2 * LEASE)
"""The lease has expired, or is so far ahead that the database's clock was set back or another server took over."""


@dataclass(frozen=True, slots=True)
class Me:
    """Identity of this process: ``session`` is its name on every database connection, ``holder`` is for messages."""

    session: str
    holder: str


def me() -> Me:
    """Return a name that no other process has, including earlier ones of this machine."""
    return Me(f"retrainer-{secrets.token_hex(6)}", f"{socket.gethostname()} (process {os.getpid()})")


@dataclass(frozen=True, slots=True)
class LeaderLease:
    """An acquired lease. ``undisputed``: the previous leader released it. ``mark``: the last mark of that leader."""

    epoch: int
    mark: int
    undisputed: bool


def free(conn: Connection) -> bool:
    """Whether there is no leader, or its lease has expired. Takes no lock."""
    return conn.execute(select(_OVER).where(_ROW)).scalar_one()


def take(conn: Connection, me: Me) -> LeaderLease | None:
    """Take the leadership; None if another replica was faster.

    The sessions of a leader whose lease expired are terminated, because they may hold locks.
    """
    row = conn.execute(select(_C.epoch, _C.session, _C.lease_until).where(_ROW, _OVER)).first()
    if row is None:
        return None
    if row.lease_until:
        conn.execute(_END_SESSIONS, {"session": row.session})
    values = {"epoch": _C.epoch + 1, "holder": me.holder, "session": me.session, "lease_until": NOW + LEASE, "url": ""}
    still = and_(_ROW, _C.epoch == row.epoch, _OVER)
    taken = conn.execute(update(t).where(still).values(values).returning(_C.epoch, _C.mark)).first()
    return LeaderLease(taken.epoch, taken.mark, undisputed=not row.lease_until) if taken is not None else None


_END_SESSIONS = text(
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity "
    "WHERE application_name = :session AND usename = current_user AND pid <> pg_backend_pid()"
)


def hold(conn: Connection, epoch: int, known: int, mark: int) -> bool:
    """Begin a transaction of the leader, identified by ``mark``.

    Return False if another replica has taken over, or if the last committed mark is not ``known``: then the store was
    reset to an earlier state, and the state in memory is wrong.
    """
    held = update(t).where(_ROW, _C.epoch == epoch, _C.mark == known).values(mark=mark, lease_until=NOW + LEASE)
    return conn.execute(held).rowcount == 1


def renew(conn: Connection, epoch: int, known: int, url: str) -> bool:
    """Renew the lease and publish the leader's URL. Return False as `hold` does. A transaction may be in progress."""
    held = update(t).where(_ROW, _C.epoch == epoch, _C.mark >= known).values(lease_until=NOW + LEASE, url=url)
    return conn.execute(held).rowcount == 1


def release(conn: Connection, epoch: int) -> None:
    """Release the leadership, so that another replica may take over at once."""
    conn.execute(update(t).where(_ROW, _C.epoch == epoch).values(lease_until=0.0))


def unseat(conn: Connection) -> None:
    """Revoke the leadership: the leader's next transaction is refused. There is no leader until the lease ends."""
    conn.execute(update(t).where(_ROW).values(epoch=_C.epoch + 1))


def last(conn: Connection) -> tuple[int, int]:
    """Wait for a transaction in progress, then return epoch and mark of the last committed one."""
    row = conn.execute(select(_C.epoch, _C.mark).where(_ROW).with_for_update()).one()
    return row.epoch, row.mark


def holder(conn: Connection) -> str:
    """Return a description of the leader; empty if there is none."""
    return conn.execute(select(_C.holder).where(_ROW, _C.lease_until >= NOW)).scalar() or ""


def url(conn: Connection) -> str:
    """Return the URL of the leader; empty if there is none, or if it has not published one yet."""
    return conn.execute(select(_C.url).where(_ROW, _C.lease_until >= NOW)).scalar() or ""
