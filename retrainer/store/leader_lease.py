"""The lead of a store that several daemons share: one row that says who may write.

The epoch is the fence. Whoever takes over raises it, and a transaction begins by asserting its own: once another daemon
has taken over, nothing of the old one can be committed any more, however long it was frozen. The row stays locked until
the transaction ends, so nobody takes over in the middle of one.
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
"""Seconds without a word from the holder after which another may take over. Renewed by every transaction."""

_C = t.c
_ROW = _C.name == "daemon"
NOW: ColumnElement[float] = cast(func.extract("epoch", func.clock_timestamp()), Float)
"""Seconds since the epoch by the database's clock, as it is now and not when the transaction began."""

_OVER = or_(_C.lease_until < NOW, _C.lease_until > NOW + 2 * LEASE)
"""Run out; or so far ahead that the database's clock was set back, or that of another server took its place."""


@dataclass(frozen=True, slots=True)
class Me:
    """``session`` is our name towards the database, on every connection; ``holder`` is for people."""

    session: str
    holder: str


def me() -> Me:
    """A name that no other process, and no earlier one of this machine, has."""
    return Me(f"retrainer-{secrets.token_hex(6)}", f"{socket.gethostname()} (process {os.getpid()})")


@dataclass(frozen=True, slots=True)
class LeaderLease:
    """What was taken over. ``undisputed``: whoever had it before gave it away. ``mark`` is the last one it left."""

    epoch: int
    mark: int
    undisputed: bool


def free(conn: Connection) -> bool:
    """Whether nobody has the lead, or has not said a word for too long. Takes no lock."""
    return conn.execute(select(_OVER).where(_ROW)).scalar_one()


def take(conn: Connection, me: Me) -> LeaderLease | None:
    """Take the lead; None if somebody was faster. Sessions of a holder that went silent are ended: they may lock."""
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
    """Begin a transaction of the holder's, to be known by its mark.

    False if another has taken over, or if the last that was committed is not the one that is ``known``: then the store
    went back, and what the holder remembers never was.
    """
    held = update(t).where(_ROW, _C.epoch == epoch, _C.mark == known).values(mark=mark, lease_until=NOW + LEASE)
    return conn.execute(held).rowcount == 1


def renew(conn: Connection, epoch: int, known: int, url: str) -> bool:
    """Say a word, and where we are asked; false as in `hold`. A transaction may be under way meanwhile."""
    held = update(t).where(_ROW, _C.epoch == epoch, _C.mark >= known).values(lease_until=NOW + LEASE, url=url)
    return conn.execute(held).rowcount == 1


def release(conn: Connection, epoch: int) -> None:
    """Whoever waits may take over at once."""
    conn.execute(update(t).where(_ROW, _C.epoch == epoch).values(lease_until=0.0))


def unseat(conn: Connection) -> None:
    """Take the lead from whoever has it: its next transaction is refused. Nobody has it until the lease ends."""
    conn.execute(update(t).where(_ROW).values(epoch=_C.epoch + 1))


def last(conn: Connection) -> tuple[int, int]:
    """Epoch and mark of the last transaction that was committed, once none is under way any more."""
    row = conn.execute(select(_C.epoch, _C.mark).where(_ROW).with_for_update()).one()
    return row.epoch, row.mark


def holder(conn: Connection) -> str:
    """Who has the lead, in words; empty if nobody."""
    return conn.execute(select(_C.holder).where(_ROW, _C.lease_until >= NOW)).scalar() or ""


def url(conn: Connection) -> str:
    """Where whoever has the lead is asked; empty if nobody has, or has not said yet."""
    return conn.execute(select(_C.url).where(_ROW, _C.lease_until >= NOW)).scalar() or ""
