"""The schema, brought to its newest version in one transaction: old or new, never between.

A migration expands: whatever it adds, the release before can still work beside it, so that daemons of both may run
during an upgrade. What is no longer needed is taken away a release later, by a migration whose version says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from retrainer.crash import reach
from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0004_0002"
KNOWN = ("0001", "0002", "0003_0002", HEAD)
"""A version is its number and, behind it, the oldest one: whoever knows that can work with it too."""
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('retrainer migration'), hashtext(current_schema()))"


def migrate(engine: Engine, where: str) -> None:
    """Upgrade if needed. Raise StoreError if a newer release wrote it and an older one cannot work on that."""
    with engine.begin() as connection:
        if _done(connection, where):
            return
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(_LOCK))
            if _done(connection, where):  # another replica was faster
                return
        _upgrade(connection)
        reach("mid-migration")


def _done(connection: Connection, where: str) -> bool:
    current = version(connection)
    if current is None or (current in KNOWN and current != HEAD):
        return False
    number, _, oldest = current.partition("_")
    if current != HEAD and (oldest or number) > HEAD:
        raise StoreError(
            f"{where}: written by a newer release (schema {number}, this one knows {HEAD[:4]}); run that release"
        )
    return True


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - costs start-up time, needed once a release
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def version(connection: Connection) -> str | None:
    """The schema's version; None in an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
