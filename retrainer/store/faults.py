"""What an error of SQL means: whose it is, and whether the same may go well later. The one place that tells them apart.

An error of the statement (a constraint, a value that does not fit, SQL that is wrong) is undone by rolling back to a
savepoint, and the rest of the transaction goes on. All others concern the whole transaction.
"""

from __future__ import annotations

import sqlite3
from enum import Enum

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from retrainer.store.base import StoreError


class Fault(Enum):
    """``passing``: the same may go well later, and nothing was written. ``whole``: it ends the whole transaction."""

    BUSY = "busy"
    FULL = "full"
    READ_ONLY = "read-only"
    LOST = "connection lost"
    CORRUPT = "corrupt"
    STATEMENT = "statement"

    @property
    def passing(self) -> bool:
        return self in (Fault.BUSY, Fault.FULL, Fault.READ_ONLY, Fault.LOST)

    @property
    def whole(self) -> bool:
        return self is not Fault.STATEMENT


_SQLITE = {
    sqlite3.SQLITE_BUSY: Fault.BUSY,
    sqlite3.SQLITE_LOCKED: Fault.BUSY,
    sqlite3.SQLITE_PROTOCOL: Fault.BUSY,
    sqlite3.SQLITE_INTERRUPT: Fault.BUSY,
    sqlite3.SQLITE_NOMEM: Fault.BUSY,
    sqlite3.SQLITE_FULL: Fault.FULL,
    sqlite3.SQLITE_IOERR: Fault.FULL,
    sqlite3.SQLITE_CANTOPEN: Fault.READ_ONLY,
    sqlite3.SQLITE_READONLY: Fault.READ_ONLY,
    sqlite3.SQLITE_PERM: Fault.READ_ONLY,
    sqlite3.SQLITE_CORRUPT: Fault.CORRUPT,
    sqlite3.SQLITE_NOTADB: Fault.CORRUPT,
}
"""By primary result code, https://www.sqlite.org/rescode.html; codes that are not here are the statement's."""
_GARBLED = "Could not decode to UTF-8"
"""Of the driver, about a text that this daemon cannot have written."""

_POSTGRES = {
    "08": Fault.LOST,
    "25006": Fault.READ_ONLY,  # the server is a standby now
    "25P03": Fault.LOST,  # we were silent in mid-transaction for too long: frozen
    "40": Fault.BUSY,  # serialization failure, deadlock
    "53100": Fault.FULL,
    "53": Fault.BUSY,  # out of memory, too many connections
    "55P03": Fault.BUSY,  # somebody holds a lock for longer than we wait
    "57014": Fault.BUSY,  # took longer than the server lets it
    "57P": Fault.LOST,  # shut down, crashed, starting up
    "58": Fault.FULL,  # the server's disk has trouble
    "XX001": Fault.CORRUPT,
    "XX002": Fault.CORRUPT,
}
"""By SQLSTATE, or by what it begins with; the longest wins."""
_LENGTHS = (5, 3, 2)


def fault_of(error: BaseException) -> Fault | None:
    """What an error of SQL means; None if it is no error of SQL."""
    if isinstance(error, PoolTimeout):
        return Fault.BUSY
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    return Fault.STATEMENT if isinstance(error, SQLAlchemyError) else None


def of_whole(error: BaseException) -> bool:
    """Whether an error that a piece of a transaction raised ends the transaction as a whole.

    If not, a rollback to the savepoint before that piece is enough.
    """
    fault = fault_of(error)
    return isinstance(error, StoreError) or (fault is not None and fault.whole)


def sqlstate(error: DBAPIError) -> str:
    """Five letters and digits of PostgreSQL's; empty if the server did not speak."""
    return getattr(error.orig, "sqlstate", None) or ""


def _of_driver(error: DBAPIError) -> Fault:
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig)
    state = sqlstate(error)
    if state:
        return next((found for n in _LENGTHS if (found := _POSTGRES.get(state[:n]))), Fault.STATEMENT)
    # Refused, cut, timed out: the driver says so without a SQLSTATE.
    cut = type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "SilenceError")
    return Fault.LOST if error.connection_invalidated or cut else Fault.STATEMENT


def _of_sqlite(error: sqlite3.Error) -> Fault:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Fault.CORRUPT if str(error).startswith(_GARBLED) else Fault.STATEMENT
    return _SQLITE.get(code & 0xFF, Fault.STATEMENT)
