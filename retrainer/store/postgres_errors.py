"""What an error of PostgreSQL means: whether it passes, and whether what became of the transaction is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from retrainer.store.line import SilenceError

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError

# By SQLSTATE, or by its class where that is two letters long.
_PASSING = (
    "08",  # the connection failed
    "25006",  # the server is a standby now, and takes reads alone
    "25P03",  # we were silent in mid-transaction for too long: frozen
    "40",  # serialization failure, deadlock
    "53",  # disk full, out of memory, too many connections
    "55P03",  # somebody holds a lock for longer than we wait
    "57014",  # took longer than the server lets it
    "57P",  # shut down, crashed, starting up
    "58",  # the server's disk has trouble
)
_ROLLED_BACK = ("23", "40")
"""A commit that answers so was none. After any other answer, or without one, it may have been."""


def passes(error: SQLAlchemyError) -> bool:
    """Whether the same may go well later."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = sqlstate(error)
    return state.startswith(_PASSING) if state else _cut(error)


def unknown(error: DBAPIError) -> bool:
    """Whether a COMMIT that failed so may have been carried out."""
    return not sqlstate(error).startswith(_ROLLED_BACK)


def sqlstate(error: DBAPIError) -> str:
    """Five letters and digits; empty if the server did not speak."""
    return getattr(error.orig, "sqlstate", None) or ""


def stale(error: SQLAlchemyError) -> bool:
    """Whether other connections of the pool lead to the wrong server too."""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or sqlstate(error).startswith("25006"))


def silent(error: DBAPIError) -> bool:
    """Whether it was waited for as long as there is patience, so that it need not be tried again at once."""
    return isinstance(error.orig, SilenceError)


def words(error: SQLAlchemyError) -> str:
    """One line; never the statement's parameters."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return " ".join(text.split())


def _cut(error: DBAPIError) -> bool:
    """Refused, cut, timed out: the driver says so without a SQLSTATE."""
    cut = type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout")
    return error.connection_invalidated or silent(error) or cut
