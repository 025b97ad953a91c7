"""Where the store of a command is: its file, its address, or the daemon's settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrainer.config.errors import ConfigErrors
from retrainer.config.load import load_settings
from retrainer.config.load_settings import read_settings
from retrainer.config.settings import Store as StoreSettings

if TYPE_CHECKING:
    from retrainer.cli.session import Session

URLS = ("postgresql+psycopg://", "postgresql://")
FILES = (".yaml", ".yml")

store_option = click.option(
    "--store",
    "place",
    metavar="STORE",
    envvar="RETRAINER_CONFIG",
    show_envvar=True,
    default="retrainer.yaml",
    help="The store: its file, its address, or the daemon's settings.",
)


def store_settings(place: str) -> StoreSettings:
    """Raise ConfigErrors if the settings have any mistake."""
    if place.startswith(URLS):
        return StoreSettings(url=place)
    if place.endswith(FILES):
        return load_settings(place).store
    return StoreSettings(path=place)


def locate_store(session: Session, place: str) -> tuple[StoreSettings, str]:
    """Return where the store is, and the name of its instance, or of its file.

    Settings may have mistakes elsewhere, such as secrets that are not here.
    """
    if not place.endswith(FILES):
        return store_settings(place), "retrainer" if place.startswith(URLS) else Path(place).stem
    settings, problems = read_settings(place)
    if settings is None:
        raise session.failure(str(ConfigErrors(problems)))
    return settings.store, settings.name
