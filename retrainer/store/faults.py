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


class StoreFault(Enum):
    """``passing``: nothing was written, and a retry may succeed. ``whole``: the error ends the whole transaction."""

    BUSY = "busy"
    FULL = "full"
    READ_ONLY = "read-only"
    LOST = "connection lost"
    CORRUPT = "corrupt"
    STATEMENT = "statement"

    @property
    def passing(self) -> bool:
        return self in (StoreFault.BUSY, StoreFault.FULL, StoreFault.READ_ONLY, StoreFault.LOST)

    @property
    def whole(self) -> bool:
        return self is not StoreFault.STATEMENT


_SQLITE = {
    sqlite3.SQLITE_BUSY: StoreFault.BUSY,
    sqlite3.SQLITE_LOCKED: StoreFault.BUSY,
    sqlite3.SQLITE_PROTOCOL: StoreFault.BUSY,
    sqlite3.SQLITE_INTERRUPT: StoreFault.BUSY,
    sqlite3.SQLITE_NOMEM: StoreFault.BUSY,
    sqlite3.SQLITE_FULL: StoreFault.FULL,
    sqlite3.SQLITE_IOERR: StoreFault.FULL,
    sqlite3.SQLITE_CANTOPEN: StoreFault.READ_ONLY,
    sqlite3.SQLITE_READONLY: StoreFault.READ_ONLY,
    sqlite3.SQLITE_PERM: StoreFault.READ_ONLY,
    sqlite3.SQLITE_CORRUPT: StoreFault.CORRUPT,
    sqlite3.SQLITE_NOTADB: StoreFault.CORRUPT,
}
"""By primary result code, https://www.sqlite.org/rescode.html. Other codes are errors of the statement."""
_GARBLED = "Could not decode to UTF-8"
"""Start of the driver's error for a text that retrainer cannot have written."""

_POSTGRES = {
    "08": StoreFault.LOST,
    "25006": StoreFault.READ_ONLY,  # the server has become a standby
    "25P03": StoreFault.LOST,  # idle in a transaction for too long: this process was frozen
    "40": StoreFault.BUSY,  # serialization failure, deadlock
    "53100": StoreFault.FULL,
    "53": StoreFault.BUSY,  # out of memory, too many connections
    "55P03": StoreFault.BUSY,  # lock_timeout
    "57014": StoreFault.BUSY,  # statement_timeout
    "57P": StoreFault.LOST,  # shut down, crashed, starting up
    "58": StoreFault.FULL,  # system error of the server, such as its disk
    "XX001": StoreFault.CORRUPT,
    "XX002": StoreFault.CORRUPT,
}
"""By SQLSTATE or its prefix; the longest match is used."""
_LENGTHS = (5, 3, 2)


def fault_of(error: BaseException) -> StoreFault | None:
    """Return the kind of an SQL error; None if it is not an SQL error."""
    if isinstance(error, PoolTimeout):
        return StoreFault.BUSY
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    return StoreFault.STATEMENT if isinstance(error, SQLAlchemyError) else None


def passes(error: BaseException) -> bool:
    """Whether this is an SQL error after which a retry may succeed later."""
    fault = fault_of(error)
    return fault is not None and fault.passing


def of_whole(error: BaseException) -> bool:
    """Whether an error in a unit of a transaction ends the whole transaction.

    If not, a rollback to the savepoint before the unit is sufficient.
    """
    fault = fault_of(error)
    return isinstance(error, StoreError) or (fault is not None and fault.whole)


def sqlstate(error: DBAPIError) -> str:
    """Return the SQLSTATE of an error; empty if it does not come from the server."""
    return getattr(error.orig, "sqlstate", None) or ""


def _of_driver(error: DBAPIError) -> StoreFault:
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig)
    state = sqlstate(error)
    if state:
        return next((found for n in _LENGTHS if (found := _POSTGRES.get(state[:n]))), StoreFault.STATEMENT)
    # Connection refused, lost or timed out: the driver raises these without a SQLSTATE.
    cut = type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "SilenceError")
    return StoreFault.LOST if error.connection_invalidated or cut else StoreFault.STATEMENT


def _of_sqlite(error: sqlite3.Error) -> StoreFault:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return StoreFault.CORRUPT if str(error).startswith(_GARBLED) else StoreFault.STATEMENT
    return _SQLITE.get(code & 0xFF, StoreFault.STATEMENT)
