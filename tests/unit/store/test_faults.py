"""The classification of SQL errors."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, InvalidRequestError, OperationalError

from retrainer.store.base import StoreBrokenError, StoreBusyError
from retrainer.store.faults import StoreFault, fault_of, of_whole


class Answer(Exception):
    """An error as psycopg raises it."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("said the server")
        self.sqlstate = sqlstate


def of_sqlite(code: int) -> DBAPIError:
    error = sqlite3.OperationalError("said SQLite")
    error.sqlite_errorcode = code
    return OperationalError("SELECT", {}, error)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        pytest.param(of_sqlite(sqlite3.SQLITE_BUSY), StoreFault.BUSY, id="locked"),
        pytest.param(of_sqlite(sqlite3.SQLITE_BUSY_SNAPSHOT), StoreFault.BUSY, id="an extended code"),
        pytest.param(of_sqlite(sqlite3.SQLITE_FULL), StoreFault.FULL, id="disk full"),
        pytest.param(of_sqlite(sqlite3.SQLITE_IOERR_FSYNC), StoreFault.FULL, id="the disk has trouble"),
        pytest.param(of_sqlite(sqlite3.SQLITE_READONLY_DBMOVED), StoreFault.READ_ONLY, id="read-only"),
        pytest.param(of_sqlite(sqlite3.SQLITE_CORRUPT_INDEX), StoreFault.CORRUPT, id="a damaged index"),
        pytest.param(of_sqlite(sqlite3.SQLITE_NOTADB), StoreFault.CORRUPT, id="no database any more"),
        pytest.param(of_sqlite(sqlite3.SQLITE_CONSTRAINT_UNIQUE), StoreFault.STATEMENT, id="a constraint"),
        pytest.param(of_sqlite(sqlite3.SQLITE_TOOBIG), StoreFault.STATEMENT, id="a value that does not fit"),
        pytest.param(OperationalError("", {}, Answer("40P01")), StoreFault.BUSY, id="deadlock"),
        pytest.param(OperationalError("", {}, Answer("53100")), StoreFault.FULL, id="the server's disk is full"),
        pytest.param(OperationalError("", {}, Answer("53300")), StoreFault.BUSY, id="too many connections"),
        pytest.param(OperationalError("", {}, Answer("25006")), StoreFault.READ_ONLY, id="a standby"),
        pytest.param(OperationalError("", {}, Answer("57P01")), StoreFault.LOST, id="shut down"),
        pytest.param(OperationalError("", {}, Answer("57014")), StoreFault.BUSY, id="took too long"),
        pytest.param(DBAPIError("", {}, Answer("XX001")), StoreFault.CORRUPT, id="the server's pages are damaged"),
        pytest.param(DBAPIError("", {}, Answer("22003")), StoreFault.STATEMENT, id="a number out of range"),
        pytest.param(DBAPIError("", {}, Answer("25P02")), StoreFault.STATEMENT, id="an aborted transaction"),
        pytest.param(InvalidRequestError("no such column"), StoreFault.STATEMENT, id="SQL that cannot be made"),
        pytest.param(ValueError("no"), None, id="none of SQL"),
    ],
)
def test_each_error_has_one_meaning(error: Any, fault: StoreFault | None) -> None:
    assert fault_of(error) is fault


def test_a_text_that_is_none_is_damage() -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as conn, pytest.raises(DBAPIError) as raised:
        conn.execute(text("SELECT CAST(x'fffe' AS TEXT)")).all()
    engine.dispose()
    assert fault_of(raised.value) is StoreFault.CORRUPT


@pytest.mark.parametrize(
    ("error", "whole"),
    [
        (of_sqlite(sqlite3.SQLITE_FULL), True),
        (of_sqlite(sqlite3.SQLITE_CORRUPT), True),
        (of_sqlite(sqlite3.SQLITE_CONSTRAINT), False),
        (StoreBusyError("full"), True),
        (StoreBrokenError("gone"), True),
        (ValueError("no"), False),
    ],
)
def test_what_is_the_statements_own_ends_no_transaction(error: Exception, whole: bool) -> None:
    assert of_whole(error) is whole
