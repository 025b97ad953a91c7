"""Migrate the schema to its newest version. Each migration is one transaction.

A migration only adds to the schema, so that the previous release still works with it and replicas of both may run
during an upgrade. What is no longer needed is removed one release later, by a migration whose version says so. Such a
migration revokes the leadership, and releases that cannot work with the new schema write nothing any more.
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
from retrainer.store.faults import passes
from retrainer.store.tables import leader, metadata
from retrainer.util.failpoints import hit

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    Prepare = Callable[[Engine, str], None]
    """Called with a database and its description before the database is used."""

HEAD = "0007_0006"
KNOWN = ("0001", "0002", "0003_0002", "0004_0002", "0005_0002", "0006_0006", HEAD)
"""Versions are NUMBER or NUMBER_OLDEST. A release that knows the version OLDEST can work with NUMBER too."""
_VERSION = "SELECT version_num FROM alembic_version"
_ALONE = (
    # A large table takes long, and so may another replica that migrates first.
    "SET LOCAL statement_timeout = 0",
    # Modules are loaded between two statements, which may be slow on a busy machine.
    "SET LOCAL idle_in_transaction_session_timeout = '60s'",
    "SET LOCAL lock_timeout = 0",
    "SELECT pg_advisory_xact_lock(hashtext('retrainer migration'), hashtext(current_schema()))",
    "SET LOCAL lock_timeout = '5s'",
)
# Locked in the same order as by writers, and before any table, to prevent deadlocks.
_WRITERS = (f"{_VERSION} FOR UPDATE", "SELECT epoch FROM leader FOR UPDATE")


def migrate(engine: Engine, where: str) -> None:
    """Upgrade the schema if needed.

    Raise StoreError if the store is damaged, or was written by a newer release that this one cannot work with.
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
    """Give a store a random id, to detect another one written over it. If the disk is full, the next start does it."""
    try:
        with engine.begin() as connection:
            if connection.exec_driver_sql("PRAGMA application_id").scalar_one() == 0:
                connection.exec_driver_sql(f"PRAGMA application_id = {secrets.randbits(30) + 1}")
    except DBAPIError as error:
        if not passes(error):
            raise


def look(engine: Engine, where: str) -> None:
    """Check without changes. Raise StoreError if there is no store, or one that this release cannot work with."""
    with engine.begin() as connection:
        found = version(connection)
    if found is None:
        raise StoreError(f"{where}: there is no store in it")
    refuse(found, where)


def older(found: str) -> bool:
    """Whether a store of this version needs a migration."""
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
    """Raise StoreError if this release cannot work with the schema version that was found."""
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
    for statement in _ALONE if shared else ():
        connection.execute(text(statement))
    before = version(connection)
    if _current(before, where):  # another replica was faster
        return
    if before is None:
        _make(connection)
        return
    for statement in _WRITERS if shared else ():
        connection.execute(text(statement))
    _alembic(connection, "+1")
    if shared and _oldest(version(connection) or before) > _oldest(before):
        leader_lease.unseat(connection)


def _make(connection: Connection) -> None:
    """Create a new store with the newest schema. Migrations are only for older stores."""
    metadata.create_all(connection, checkfirst=False)
    nobody = {"epoch": 0, "holder": "", "session": "", "lease_until": 0.0, "mark": 0, "url": ""}
    connection.execute(insert(leader).values(name="daemon", **nobody))
    _alembic(connection, None)


def _alembic(connection: Connection, steps: str | None) -> None:
    """Run that many migrations; with None, record the newest version without running any."""
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
    """Return the schema's version; None for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text(_VERSION)).scalar()


def assert_known(connection: Connection, where: str, *, lock: bool = False) -> None:
    """Raise StoreError if a newer release has migrated the store meanwhile and this one cannot work with it.

    With ``lock``, the version cannot change until the transaction ends.
    """
    refuse(connection.execute(text(f"{_VERSION} FOR KEY SHARE" if lock else _VERSION)).scalar_one(), where)
