"""What an error of PostgreSQL means for its connections, and for a transaction that it was to commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from retrainer.store.faults import fault_of, sqlstate
from retrainer.store.guarded_connection import SilenceError

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError

_ROLLED_BACK = ("23", "40")
"""A commit that answers so was none. After any other answer, or without one, it may have been."""


def passes(error: SQLAlchemyError) -> bool:
    """Whether the same may go well later."""
    fault = fault_of(error)
    return fault is not None and fault.passing


def unknown(error: DBAPIError) -> bool:
    """Whether a COMMIT that failed so may have been carried out."""
    return not sqlstate(error).startswith(_ROLLED_BACK)


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
