"""The command that runs the daemon."""

from __future__ import annotations

import sys

import click

from retrainer.config.errors import ConfigErrors
from retrainer.daemon.main import main
from retrainer.telemetry.logs import LEVELS


@click.command()
@click.option(
    "-c",
    "--config",
    "settings",
    type=click.Path(exists=True, dir_okay=False),
    envvar="RETRAINER_CONFIG",
    default="retrainer.yaml",
    show_envvar=True,
    help="The daemon's settings.",
)
@click.option(
    "--log-level",
    type=click.Choice(list(LEVELS)),
    envvar="RETRAINER_LOG_LEVEL",
    show_envvar=True,
    help="Log at this level instead of that in the settings (log.level).",
)
def run(settings: str, log_level: str | None) -> None:
    """Run the daemon until it is stopped. On SIGHUP it reads its rule files.

    Example: retrainer run -c retrainer.yaml --log-level debug
    """
    try:
        code = main(settings, log_level)
    except ConfigErrors as errors:
        raise click.ClickException(f"{settings} is not valid\n\n{errors}") from None
    sys.exit(code)
