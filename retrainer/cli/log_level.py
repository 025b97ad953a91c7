"""The level of the daemon's log."""

from __future__ import annotations

import click

from retrainer.cli import show
from retrainer.cli.session import Session, remote

WHERE = "/-/log-level"


@click.command()
@click.argument("level", type=click.Choice(["debug", "info", "warning", "error", "configured"]), required=False)
@remote
def log_level(session: Session, level: str | None) -> None:
    """Show or change the level of the daemon's log: debug, info, warning or error.

    A change concerns the replica that answers, until it is restarted; `configured` returns to the level of the
    settings.

    Example: retrainer log-level debug
    """
    if level is None:
        answer = session.client.outside(WHERE)
    else:
        answer = session.client.change(WHERE, {"level": None if level == "configured" else level})
    facts = {"level": answer["level"], "configured": answer["configured"]}
    session.print(answer, lambda console: show.facts(console, facts))
