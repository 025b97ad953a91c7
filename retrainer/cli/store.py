"""The store: a SQLite file, which all commands but `backup` open under its exclusive lock, or a PostgreSQL database."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.config.errors import ConfigErrors
from retrainer.config.load import load_settings
from retrainer.config.load_settings import read_settings
from retrainer.config.settings import Store as StoreSettings
from retrainer.runs.run import LIVE
from retrainer.store import exchange
from retrainer.store import tables as t
from retrainer.store.backup import Backup, back_up
from retrainer.store.base import StoreError
from retrainer.store.migrate import look, migrate, older, version
from retrainer.store.open import open_store
from retrainer.store.restore import restore as put_back
from retrainer.util.clock import SystemClock
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from retrainer.store.base import Store
    from retrainer.store.migrate import Prepare

_NEW = click.argument("place", metavar="STORE")
_URLS = ("postgresql+psycopg://", "postgresql://")


def _there(_context: click.Context, _parameter: click.Parameter, place: str) -> str:
    """Require that the file exists: a typing error must not create a new one."""
    if not place.startswith(_URLS) and not Path(place).is_file():
        raise click.BadParameter(f"File {place!r} does not exist.")
    return place


_PLACE = click.argument("place", metavar="STORE", callback=_there)
_STORE = click.option(
    "--store",
    "place",
    metavar="STORE",
    envvar="RETRAINER_CONFIG",
    show_envvar=True,
    default="retrainer.yaml",
    help="The store: its file, its address, or the daemon's settings.",
)


@click.group()
def store() -> None:
    """Back up a store, also while the daemon runs; restore, check, migrate, export or import that of a stopped one.

    STORE is the SQLite file in `store.path`, the address in `store.url` (the password comes from
    PGPASSWORD or a password file, as with psql), or the settings file of the daemon (.yaml).
    """


def _settings(place: str) -> StoreSettings:
    if place.startswith(_URLS):
        return StoreSettings(url=place)
    if place.endswith((".yaml", ".yml")):
        return load_settings(place).store
    return StoreSettings(path=place)


@contextmanager
def _opened(session: Session, place: str, prepare: Prepare) -> Iterator[Store]:
    try:
        opened = open_store(_settings(place), prepare)
        try:
            yield opened
        finally:
            opened.close()
    except (StoreError, ConfigErrors) as error:
        raise session.failure(str(error)) from None
    except DatabaseError as error:
        way_out = "look at the server's log" if place.startswith(_URLS) else "restore it from a backup"
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


@store.command()
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@_STORE
@local
def backup(session: Session, target: Path, place: str) -> None:
    """Copy a SQLite store to the new file TO, while the daemon runs or not, and check the copy.

    The copy is the store as it was when the command began. TO appears only when it is complete, and is never
    overwritten. For PostgreSQL, the command to run instead is shown.

    Example: retrainer store backup backup.db --store retrainer.yaml
    """
    if not place.startswith(_URLS) and not Path(place).is_file():
        raise session.failure(f"--store: file {place!r} does not exist")
    settings = _located(session, place)
    if settings.url is not None:
        from retrainer.store.pg_dump import pg_dump  # noqa: PLC0415 - load only the driver in use

        raise session.failure(
            "nothing was backed up: PostgreSQL has its own tool for it, also while replicas run. The password comes "
            f"from PGPASSWORD or a password file. Run\n  {pg_dump(settings.url, target)}"
        )
    try:
        with _ended_by_sigterm():
            made = back_up(Path(settings.path), target, SystemClock(), _show_progress)
    except StoreError as error:
        raise session.failure(str(error)) from None
    finally:
        show.progress()
    answer = {
        "path": str(made.path),
        "at": moment(made.at),
        "seconds": round(made.seconds, 3),
        "bytes": made.bytes,
        "schema": made.schema,
    }
    session.print(answer, lambda console: _backed(console, made))


def _located(session: Session, place: str) -> StoreSettings:
    """Return where the store is. Settings may have mistakes elsewhere, such as secrets that are not here."""
    if not place.endswith((".yaml", ".yml")):
        return _settings(place)
    settings, problems = read_settings(place)
    if settings is None:
        raise session.failure(str(ConfigErrors(problems)))
    return settings.store


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Raise SystemExit at SIGTERM, so that an incomplete copy is removed."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show_progress(done: int, pages: int) -> None:
    show.progress(f"{100 * done // max(1, pages)} % of {pages} pages")


def _backed(console: Console, made: Backup) -> None:
    console.print(
        f"{made.path} is complete and intact: {made.bytes} bytes, the store as of {moment(made.at)}, "
        f"in {made.seconds:.1f} s"
    )


@store.command()
@click.argument("source", metavar="FROM", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_STORE
@local
def restore(session: Session, source: Path, place: str) -> None:
    """Put the backup FROM in the place of the SQLite store of a stopped daemon. The old store is kept beside it.

    The backup is checked before anything is changed.

    Example: retrainer store restore backup.db --store retrainer.yaml
    """
    settings = _located(session, place)
    if settings.url is not None:
        raise session.failure(
            "nothing was restored: restore a PostgreSQL store with pg_restore, with all replicas stopped"
        )
    try:
        with _ended_by_sigterm():
            made = put_back(source, Path(settings.path), _show_progress)
    except StoreError as error:
        raise session.failure(str(error)) from None
    finally:
        show.progress()
    before = str(made.before) if made.before else None
    answer = {"path": str(made.path), "backup": str(source), "schema": made.schema, "before": before}
    kept = f"; the store that was there is {before}" if before else ""
    session.print(answer, lambda console: console.print(f"{made.path} is the backup {source}{kept}", soft_wrap=True))
