"""Classify SQL errors. This is the only module that does.

An error of the statement (a constraint, a value out of range, wrong SQL) is undone by a rollback to a savepoint, and
the transaction continues. All other errors end the whole transaction.
"""

from __future__ import annotations

import sqlite3
from enum import Enum

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from retrainer.store.base import StoreError


class Fault(Enum):
    """``passing``: nothing was written, and a retry may succeed. ``whole``: the error ends the whole transaction."""

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
"""By primary result code, https://www.sqlite.org/rescode.html. Other codes are errors of the statement."""
_GARBLED = "Could not decode to UTF-8"
"""Start of the driver's error for a text that retrainer cannot have written."""

_POSTGRES = {
    "08": Fault.LOST,
    "25006": Fault.READ_ONLY,  # the server has become a standby
    "25P03": Fault.LOST,  # idle in a transaction for too long: this process was frozen
    "40": Fault.BUSY,  # serialization failure, deadlock
    "53100": Fault.FULL,
    "53": Fault.BUSY,  # out of memory, too many connections
    "55P03": Fault.BUSY,  # lock_timeout
    "57014": Fault.BUSY,  # statement_timeout
    "57P": Fault.LOST,  # shut down, crashed, starting up
    "58": Fault.FULL,  # system error of the server, such as its disk
    "XX001": Fault.CORRUPT,
    "XX002": Fault.CORRUPT,
}
"""By SQLSTATE or its prefix; the longest match is used."""
_LENGTHS = (5, 3, 2)


def fault_of(error: BaseException) -> Fault | None:
    """Return the kind of an SQL error; None if it is not an SQL error."""
    if isinstance(error, PoolTimeout):
        return Fault.BUSY
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    return Fault.STATEMENT if isinstance(error, SQLAlchemyError) else None


def of_whole(error: BaseException) -> bool:
    """Whether an error in a unit of a transaction ends the whole transaction.

    If not, a rollback to the savepoint before the unit is sufficient.
    """
    fault = fault_of(error)
    return isinstance(error, StoreError) or (fault is not None and fault.whole)


def sqlstate(error: DBAPIError) -> str:
    """Return the SQLSTATE of an error; empty if it does not come from the server."""
    return getattr(error.orig, "sqlstate", None) or ""


def _of_driver(error: DBAPIError) -> Fault:
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig)
    state = sqlstate(error)
    if state:
        return next((found for n in _LENGTHS if (found := _POSTGRES.get(state[:n]))), Fault.STATEMENT)
    # Connection refused, lost or timed out: the driver raises these without a SQLSTATE.
    cut = type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "SilenceError")
    return Fault.LOST if error.connection_invalidated or cut else Fault.STATEMENT


def _of_sqlite(error: sqlite3.Error) -> Fault:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return Fault.CORRUPT if str(error).startswith(_GARBLED) else Fault.STATEMENT
    return _SQLITE.get(code & 0xFF, Fault.STATEMENT)
