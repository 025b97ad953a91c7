"""The store of a stopped daemon, under its exclusive lock."""

from __future__ import annotations

import base64
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import orjson
from sqlalchemy import Connection, Table, func, select
from sqlalchemy.exc import DatabaseError

from retrainer.cli import show
from retrainer.cli.session import Failure, Session, local
from retrainer.runs.run import LIVE
from retrainer.store import tables as t
from retrainer.store.base import StoreError
from retrainer.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

_PATH = click.argument("path", type=click.Path(exists=True, dir_okay=False))
_ROWS = 1000


@click.group()
def store() -> None:
    """Check or export the store of a stopped daemon. PATH is the file that `store.path` names."""


@contextmanager
def _opened(session: Session, path: str) -> Iterator[SqliteStore]:
    try:
        opened = SqliteStore.open(path)
        try:
            yield opened
        finally:
            opened.close()
    except StoreError as error:
        raise session.failure(str(error)) from None
    except DatabaseError as error:
        raise session.failure(f"{path}: {error.orig}; restore it from a backup") from None


@store.command()
@_PATH
@local
def check(session: Session, path: str) -> None:
    """Check that a store is whole, and say what is in it."""
    with _opened(session, path) as opened:
        problems = opened.read(_integrity)
        rows = {} if problems else opened.read(_counted)
        live = 0 if problems else opened.read(_live)
        answer = {"path": path, "good": not problems, "problems": problems, "bytes": opened.size()}
    answer |= {"rows": rows, "live_runs": live}
    session.print(answer, lambda console: _checked(console, answer))
    if problems:
        raise click.exceptions.Exit(1)


def _checked(console: Console, answer: dict[str, Any]) -> None:
    if answer["problems"]:
        console.print(f"{answer['path']} is damaged; restore it from a backup, or export what can be read:")
        for problem in answer["problems"]:
            console.print(f"  {problem}")
        return
    console.print(f"{answer['path']} is good: {answer['bytes']} bytes, {answer['live_runs']} live runs")
    show.table(console, ("TABLE", "ROWS"), answer["rows"].items(), "")


def _integrity(conn: Connection) -> list[str]:
    found = conn.exec_driver_sql("PRAGMA integrity_check(20)").scalars().all()
    return [] if found == ["ok"] else list(found)


def _counted(conn: Connection) -> dict[str, int]:
    return {
        name: conn.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in sorted(t.metadata.tables.items())
    }


def _live(conn: Connection) -> int:
    live = select(func.count()).select_from(t.runs).where(t.runs.c.phase.in_([phase.value for phase in LIVE]))
    return conn.execute(live).scalar_one()


@store.command()
@_PATH
@click.option("--table", "names", multiple=True, type=click.Choice(sorted(t.metadata.tables)), help="Only this one.")
@click.option("--to", "target", type=click.File("wb", lazy=False), default="-", help="File to write; - is stdout.")
@local
def export(session: Session, path: str, names: tuple[str, ...], target: Any) -> None:
    """Write a store's rows as lines of JSON: {"table": …, "row": {…}}. Bytes are base64."""
    with _opened(session, path) as opened:
        for name in names or sorted(t.metadata.tables):
            count = opened.read(lambda conn, name=name: _export(conn, t.metadata.tables[name], target))  # type: ignore[misc]
            if sys.stderr.isatty():
                click.echo(f"{name}: {count} rows", err=True)


def _export(conn: Connection, table: Table, target: Any) -> int:
    count = 0
    found = conn.execution_options(stream_results=True).execute(select(table).order_by(*table.primary_key))
    for rows in found.mappings().partitions(_ROWS):
        target.writelines(
            orjson.dumps({"table": table.name, "row": {str(k): v for k, v in row.items()}}, _encode) + b"\n"
            for row in rows
        )
        count += len(rows)
    return count


def _encode(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise Failure(f"cannot export a {type(value).__name__}")
