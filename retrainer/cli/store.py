"""The store: a SQLite file, which all commands but `backup` open under its exclusive lock, or a PostgreSQL database."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.cli.store_backup import backup, backups, fetch, restore
from retrainer.cli.store_location import URLS, store_settings
from retrainer.config.errors import ConfigErrors
from retrainer.runs.run import LIVE
from retrainer.store import exchange
from retrainer.store import tables as t
from retrainer.store.base import StoreError
from retrainer.store.migrate import look, migrate, older, version
from retrainer.store.open import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from retrainer.store.base import Store
    from retrainer.store.migrate import Prepare

_NEW = click.argument("place", metavar="STORE")


def _there(_context: click.Context, _parameter: click.Parameter, place: str) -> str:
    """Require that the file exists: a typing error must not create a new one."""
    if not place.startswith(URLS) and not Path(place).is_file():
        raise click.BadParameter(f"File {place!r} does not exist.")
    return place


_PLACE = click.argument("place", metavar="STORE", callback=_there)


@click.group()
def store() -> None:
    """Back up a store, also while the daemon runs; restore, check, migrate, export or import that of a stopped one.

    STORE is the SQLite file in `store.path`, the address in `store.url` (the password comes from
    PGPASSWORD or a password file, as with psql), or the settings file of the daemon (.yaml).
    """


for command in (backup, backups, fetch, restore):
    store.add_command(command)


@contextmanager
def _opened(session: Session, place: str, prepare: Prepare) -> Iterator[Store]:
    try:
        opened = open_store(store_settings(place), prepare)
        try:
            yield opened
        finally:
            opened.close()
    except (StoreError, ConfigErrors) as error:
        raise session.failure(str(error)) from None
    except DatabaseError as error:
        way_out = "look at the server's log" if place.startswith(URLS) else "restore it from a backup"
        raise session.failure(f"{place}: {error.orig}; {way_out}") from None


@store.command()
@_PLACE
@local
def check(session: Session, place: str) -> None:
    """Check that a store is intact, and show what it contains. It is not changed, even if its schema is older.

    Example: retrainer store check retrainer.db
    """
    with _opened(session, place, look) as opened:
        problems = opened.read(exchange.problems)
        answer = {"path": place, "good": not problems, "problems": problems, "bytes": opened.size()}
        answer |= {"schema": None, "rows": {}, "live_runs": 0} if problems else opened.read(_content)
    session.print(answer, lambda console: _checked(console, answer), code=1 if problems else 0)


def _checked(console: Console, answer: dict[str, Any]) -> None:
    if answer["problems"]:
        console.print(f"{answer['path']} is damaged; restore it from a backup, or export what can be read:")
        for problem in answer["problems"]:
            console.print(f"  {problem}")
        return
    schema = f"schema {answer['schema']}{', which the daemon migrates at start' if older(answer['schema']) else ''}"
    live = show.many(answer["live_runs"], "live run")
    console.print(f"{answer['path']} is intact: {answer['bytes']} bytes, {live}, {schema}")
    show.table(console, ("TABLE", "ROWS"), answer["rows"].items(), "")


def _content(conn: Connection) -> dict[str, Any]:
    there = set(inspect(conn).get_table_names())
    rows = {
        name: conn.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in sorted(t.metadata.tables.items())
        if name in there
    }
    live = select(func.count()).select_from(t.runs).where(t.runs.c.phase.in_([phase.value for phase in LIVE]))
    return {"schema": version(conn), "rows": rows, "live_runs": conn.execute(live).scalar_one()}


@store.command("migrate")
@_NEW
@local
def migrate_(session: Session, place: str) -> None:
    """Migrate a store to the schema of this release, as the daemon does at start. Create the store if there is none.

    Example: retrainer store migrate retrainer.yaml
    """
    with _opened(session, place, migrate) as opened:
        answer = {"path": place, "schema": opened.read(version)}
    session.print(answer, lambda console: console.print(f"{place} has schema {answer['schema']}"))


@store.command()
@_PLACE
@click.option(
    "--table",
    "names",
    multiple=True,
    type=click.Choice(sorted(exchange.TABLES)),
    help="Only this table; may be repeated.",
)
@click.option("--to", "target", type=click.File("wb", lazy=False), default="-", help="File to write; - is stdout.")
@local
def export(session: Session, place: str, names: tuple[str, ...], target: Any) -> None:
    """Write the rows of a store as lines of JSON: {"table": …, "row": {…}}. Bytes are base64.

    Example: retrainer store export retrainer.yaml --table runs --to runs.jsonl
    """

    def write(conn: Connection) -> None:  # one read: PostgreSQL returns a consistent snapshot
        for name in names or sorted(exchange.TABLES):
            count = 0
            for count, line in enumerate(exchange.rows(conn, name), 1):  # noqa: B007 - the last count is used below
                target.write(line)
            if sys.stderr.isatty():
                click.echo(f"{name}: {show.many(count, 'row')}", err=True)

    with _opened(session, place, look) as opened:
        schema = opened.read(version) or ""
        if older(schema):
            way_out = "export it with the release that created it, or run `retrainer store migrate` first"
            raise session.failure(f"{place}: the schema {schema} is older; {way_out}")
        opened.read(write)


@store.command("import")
@_NEW
@click.option("--from", "source", type=click.File("rb"), default="-", help="File to read; - is stdin.")
@local
def import_(session: Session, place: str, source: Any) -> None:
    """Fill an empty store with an export, completely or not at all; from SQLite to PostgreSQL, or back.

    Example: retrainer store import retrainer.yaml --from export.jsonl
    """
    with _opened(session, place, migrate) as opened:
        if not opened.claim():
            raise session.failure(f"{place}: {opened.holder()} is the leader; stop that daemon first")
        try:
            with opened.write() as conn:
                if there := exchange.filled(conn):
                    raise session.failure(f"{place} is not empty ({', '.join(there)}): name a new store")
                counts = exchange.load(conn, source)
        except (ValueError, SQLAlchemyError) as error:
            raise session.failure(f"nothing was imported: {getattr(error, 'orig', error)}") from None
        finally:
            opened.release()
    answer = {"path": place, "rows": counts}
    session.print(answer, lambda console: show.table(console, ("TABLE", "ROWS"), counts.items(), "nothing to import"))
