"""Check a SQLite database for damage, in a time that does not grow with its size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from retrainer.store.base import StoreError
from retrainer.store.faults import StoreFault, fault_of
from retrainer.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Select

WHOLE = 64 << 20
"""Maximum bytes for a check of every page: 0.1 s. In larger databases, only pages on every read path are checked."""
WAY_OUT = (
    "it is damaged: restore it from a backup, or save what can be read with `retrainer store export`, move the file "
    "away, and import that into a new one"
)


def examine(conn: Connection, where: str) -> None:
    """Raise StoreError, which names the file, if damaged pages are found."""
    try:
        found = _problems(conn)
    except DBAPIError as error:
        if fault_of(error) is not StoreFault.CORRUPT:
            raise
        found = [str(error.orig)]
    if found:
        message = " ".join("; ".join(found).split())
        raise StoreError(f"{where}: {message}; {WAY_OUT}")


def _problems(conn: Connection) -> list[str]:
    pages, size = (conn.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("page_count", "page_size"))
    if pages * size <= WHOLE:
        found = list(conn.exec_driver_sql("PRAGMA quick_check(3)").scalars())
        return [] if found == ["ok"] else found
    for query in _ways(conn):
        conn.execute(query).all()
    return []


def _ways(conn: Connection) -> Iterator[Select[Any]]:
    """Yield queries for the first and the last entry of each table and index, which read the pages from its root."""
    there = set(conn.exec_driver_sql("SELECT name FROM sqlite_master").scalars())
    for table in metadata.tables.values():
        if table.name not in there:
            continue
        yield from _ends(select(table), list(table.primary_key))
        for index in table.indexes:
            if index.name in there:
                where = index.dialect_options["sqlite"]["where"]
                within = select(*index.columns)
                yield from _ends(within if where is None else within.where(where), list(index.columns))


def _ends(query: Select[Any], columns: list[Any]) -> Iterator[Select[Any]]:
    yield query.order_by(*columns).limit(1)
    yield query.order_by(*(column.desc() for column in columns)).limit(1)
