"""Classify errors of PostgreSQL: the effect on connections, and on a transaction that was being committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from retrainer.store.faults import fault_of, sqlstate
from retrainer.store.guarded_connection import SilenceError

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError

_ROLLED_BACK = ("23", "40")
"""SQLSTATE classes after which a COMMIT was certainly not done. After any other error, it may have been."""


def passes(error: SQLAlchemyError) -> bool:
    """Whether a retry may succeed later."""
    fault = fault_of(error)
    return fault is not None and fault.passing


def unknown(error: DBAPIError) -> bool:
    """Whether a COMMIT that failed with this error may have been carried out."""
    return not sqlstate(error).startswith(_ROLLED_BACK)


def stale(error: SQLAlchemyError) -> bool:
    """Whether other connections of the pool may lead to the wrong server too."""
    return isinstance(error, DBAPIError) and (error.connection_invalidated or sqlstate(error).startswith("25006"))


def silent(error: DBAPIError) -> bool:
    """Whether the read timeout expired, so that an immediate retry is useless."""
    return isinstance(error.orig, SilenceError)


def words(error: SQLAlchemyError) -> str:
    """Return the error in one line, without the statement's parameters."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return " ".join(text.split())
