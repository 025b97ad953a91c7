"""The schema, brought to its newest version by migrations, each in a transaction: before it or after it, never between.

A migration expands: whatever it adds, the release before can still work beside it, so that daemons of both may run
during an upgrade. What is no longer needed is taken away a release later, by a migration whose version says so: it ends
the lead of whoever has it, and releases that cannot work with what they find write nothing any more.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import DBAPIError

from retrainer.store import leader_lease
from retrainer.store.base import StoreError
from retrainer.store.examine import examine
from retrainer.store.faults import fault_of
from retrainer.store.tables import leader, metadata
from retrainer.util.failpoints import hit

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    Prepare = Callable[[Engine, str], None]
    """What is done with a database before it is used; it gets its place, for people."""

HEAD = "0006_0006"
KNOWN = ("0001", "0002", "0003_0002", "0004_0002", "0005_0002", HEAD)
"""A version is its number and, behind it, the oldest one: whoever knows that can work with it too."""
_VERSION = "SELECT version_num FROM alembic_version"
_ALONE = (
    # A large table takes its time, and so does a replica that was faster.
    "SET LOCAL statement_timeout = 0",
    # Between two statements lies what is loaded for it, which a starved machine takes its time for.
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",
    "SET LOCAL lock_timeout = 0",
    "SELECT pg_advisory_xact_lock(hashtext('retrainer migration'), hashtext(current_schema()))",
    "SET LOCAL lock_timeout = '5s'",
)
# In the order in which writers lock them, and before any table: so nobody waits for each other.
_WRITERS = (f"{_VERSION} FOR UPDATE", "SELECT epoch FROM leader FOR UPDATE")


def migrate(engine: Engine, where: str) -> None:
    """Upgrade if needed.

    Raise StoreError if a newer release wrote it and an older one cannot work on that, or if it is damaged.
    """
    if engine.dialect.name == "sqlite":
        with engine.begin() as connection:
            examine(connection, where)
    while not _done(engine, where):
        with engine.begin() as connection:
            _step(connection, where)
            hit("mid-migration")
    if engine.dialect.name == "sqlite":
        _mark(engine)


def _mark(engine: Engine) -> None:
    """Give a store what tells it from any other written over it; where the disk is full, the next start does."""
    try:
        with engine.begin() as connection:
            if connection.exec_driver_sql("PRAGMA application_id").scalar_one() == 0:
                connection.exec_driver_sql(f"PRAGMA application_id = {secrets.randbits(30) + 1}")
    except DBAPIError as error:
        fault = fault_of(error)
        if fault is None or not fault.passing:
            raise


def look(engine: Engine, where: str) -> None:
    """Change nothing. Raise StoreError if nothing is there, or what this release cannot work on."""
    with engine.begin() as connection:
        found = version(connection)
    if found is None:
        raise StoreError(f"{where}: there is no store in it")
    refuse(found, where)


def older(found: str) -> bool:
    """Whether a store of this version is yet to be migrated."""
    return found in KNOWN and found != HEAD


def _done(engine: Engine, where: str) -> bool:
    with engine.begin() as connection:
        return _current(version(connection), where)


def _current(found: str | None, where: str) -> bool:
    if found is None or older(found):
        return False
    refuse(found, where)
    return True


def refuse(found: str, where: str) -> None:
    """Raise StoreError if a release with this schema cannot work on the one that was found."""
    if found != HEAD and _oldest(found) > HEAD:
        number = found.partition("_")[0]
        raise StoreError(
            f"{where}: written by a newer release (schema {number}, this one knows {HEAD[:4]}); run that release"
        )


def _oldest(found: str) -> str:
    number, _, oldest = found.partition("_")
    return oldest or number


def _step(connection: Connection, where: str) -> None:
    shared = connection.dialect.name == "postgresql"
    for said in _ALONE if shared else ():
        connection.execute(text(said))
    before = version(connection)
    if _current(before, where):  # another replica was faster
        return
    if before is None:
        _make(connection)
        return
    for said in _WRITERS if shared else ():
        connection.execute(text(said))
    _alembic(connection, "+1")
    if shared and _oldest(version(connection) or before) > _oldest(before):
        leader_lease.unseat(connection)


def _make(connection: Connection) -> None:
    """A new store is made whole; migrations are for those that are older."""
    metadata.create_all(connection, checkfirst=False)
    nobody = {"epoch": 0, "holder": "", "session": "", "lease_until": 0.0, "mark": 0, "url": ""}
    connection.execute(insert(leader).values(name="daemon", **nobody))
    _alembic(connection, None)


def _alembic(connection: Connection, steps: str | None) -> None:
    """Take that many steps, or note that none is needed."""
    from alembic import command  # noqa: PLC0415 - costs start-up time, needed once a release
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    if steps is None:
        command.stamp(config, "head")
    else:
        command.upgrade(config, steps)


def version(connection: Connection) -> str | None:
    """The schema's version; None in an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text(_VERSION)).scalar()


def assert_known(connection: Connection, where: str, *, lock: bool = False) -> None:
    """Raise StoreError if a newer release has migrated meanwhile and this one cannot work on that.

    With ``lock`` it stays so until the transaction ends.
    """
    refuse(connection.execute(text(f"{_VERSION} FOR KEY SHARE" if lock else _VERSION)).scalar_one(), where)
