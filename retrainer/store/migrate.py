"""The schema, brought to its newest version in one transaction: old or new, never between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import inspect, text

from retrainer.crash import reach
from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine

HEAD = "0002"
KNOWN = ("0001", "0002")


def migrate(engine: Engine, where: str) -> None:
    """Upgrade if needed. Raise StoreError if a newer release wrote it."""
    current = _version(engine)
    if current == HEAD:
        return
    if current is not None and current not in KNOWN:
        raise StoreError(
            f"{where}: written by a newer release (schema {current}, this one knows {HEAD}); run that release"
        )
    from alembic import command  # noqa: PLC0415 - costs start-up time, needed once a release
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        reach("mid-migration")


def _version(engine: Engine) -> str | None:
    with engine.begin() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
