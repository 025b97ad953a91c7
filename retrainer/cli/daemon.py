"""The command that runs the daemon."""

from __future__ import annotations

import sys

import click

from retrainer.config.errors import ConfigErrors
from retrainer.daemon.main import main


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
def run(settings: str) -> None:
    """Run the daemon until it is stopped. On SIGHUP it reads its rule files.

    Example: retrainer run -c retrainer.yaml
    """
    try:
        code = main(settings)
    except ConfigErrors as errors:
        raise click.ClickException(f"{settings} is not valid\n\n{errors}") from None
    sys.exit(code)
