"""Open the store that the settings name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from retrainer.store.migrate import migrate
from retrainer.store.sqlite import SqliteStore
from retrainer.telemetry.secrets import reveal

if TYPE_CHECKING:
    from retrainer.config.settings import Store as StoreSettings
    from retrainer.store.base import Store
    from retrainer.store.migrate import Prepare


def open_store(settings: StoreSettings, prepare: Prepare = migrate) -> Store:
    """Open or create the store. ``prepare`` brings the schema to its newest version. Raise StoreError."""
    if settings.url is None:
        return SqliteStore.open(settings.path, prepare)
    from retrainer.store.postgres import PostgresStore  # noqa: PLC0415 - load only the driver in use

    password = partial(reveal, settings.password) if settings.password else None
    return PostgresStore.open(settings.url, password, prepare)
