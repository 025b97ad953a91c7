"""Export a store's rows as lines of JSON, and import them into another database of either kind."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import LargeBinary, Table, func, inspect, select, text

from retrainer.store import tables as t
from retrainer.store.migrate import older, version
from retrainer.store.statements import insert_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

TABLES = {name: table for name, table in t.metadata.tables.items() if table not in (t.leader, t.readers)}
"""The exported tables: all but `leader` and `readers`, which concern the replicas of one database."""
_ROWS = 1000


def rows(conn: Connection, name: str) -> Iterator[bytes]:
    """Yield a table's rows, each as a line: {"table": …, "row": {…}}. Bytes are base64."""
    table = TABLES[name]
    _be_patient(conn)
    query = select(table).order_by(*table.primary_key)
    found = conn.execute(query, execution_options={"stream_results": True})
    for part in found.mappings().partitions(_ROWS):
        for row in part:
            yield orjson.dumps({"table": name, "row": {str(k): v for k, v in row.items()}}, _encode) + b"\n"


def _be_patient(conn: Connection) -> None:
    """Disable the idle timeout, because the other end of the export or import may be slow."""
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


def _encode(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"cannot export a {type(value).__name__}")


def filled(conn: Connection) -> list[str]:
    """Return the names of the tables that have rows."""
    return [name for name, table in TABLES.items() if conn.execute(select(table).limit(1)).first() is not None]


def load(conn: Connection, lines: Iterable[bytes]) -> dict[str, int]:
    """Insert the output of `rows`. Return the number of rows by table. Raise ValueError with the line number."""
    _be_patient(conn)
    counts: dict[str, int] = {}
    waiting: list[dict[str, Any]] = []
    last: Table | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        table, row = _read(line, number)
        if table is not last or len(waiting) == _ROWS or waiting[0].keys() != row.keys():
            _insert(conn, last, waiting)
            last, waiting = table, []
        waiting.append(row)
        counts[table.name] = counts.get(table.name, 0) + 1
    _insert(conn, last, waiting)
    _count_on(conn)
    return counts


def _insert(conn: Connection, table: Table | None, waiting: Sequence[dict[str, Any]]) -> None:
    if table is not None:
        insert_all(conn, table, waiting)


def _read(line: bytes, number: int) -> tuple[Table, dict[str, Any]]:
    try:
        record = orjson.loads(line)
        name, row = record["table"], dict(record["row"])
    except (ValueError, TypeError, KeyError):
        raise ValueError(f"line {number}: not a row of `retrainer store export`") from None
    if name not in TABLES:
        raise ValueError(f"line {number}: this release has no table {name!r}: import it with the one that exported it")
    table = TABLES[name]
    if unknown := row.keys() - table.columns.keys():
        raise ValueError(f"line {number}: {name} has no {', '.join(sorted(unknown))}: import it with a newer release")
    encoded = [c.name for c in table.columns if isinstance(c.type, LargeBinary) and row.get(c.name) is not None]
    return table, row | {column: base64.b64decode(row[column]) for column in encoded}


def _count_on(conn: Connection) -> None:
    """Advance PostgreSQL's sequences, which do not see rows inserted with explicit numbers."""
    if conn.dialect.name != "postgresql":
        return
    for name, table in TABLES.items():
        column = table.autoincrement_column
        if column is not None:
            highest = conn.execute(select(func.max(column))).scalar()
            conn.execute(
                select(func.setval(func.pg_get_serial_sequence(name, column.name), highest or 1, highest is not None))
            )


def problems(conn: Connection) -> list[str]:
    """Return the problems of the database itself; empty if there are none."""
    if conn.dialect.name == "sqlite":
        found = conn.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
        return [] if found == ["ok"] else list(found)
    return [] if older(version(conn) or "") else list(_missing(conn))


def _missing(conn: Connection) -> Iterator[str]:
    """Yield missing tables, columns and indexes. The pages are checked by the server itself."""
    there = inspect(conn)
    known = set(there.get_table_names())
    for name, table in t.metadata.tables.items():
        if name not in known:
            yield f"table {name} is missing"
            continue
        columns = {column["name"] for column in there.get_columns(name)}
        yield from (f"column {name}.{column} is missing" for column in set(table.columns.keys()) - columns)
        indexes = {index["name"] for index in there.get_indexes(name)}
        yield from (f"index {i.name} of {name} is missing" for i in table.indexes if i.name not in indexes)
