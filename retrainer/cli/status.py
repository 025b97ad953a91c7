"""Status: whether the daemon is ready, and what its components wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@remote
def status(session: Session) -> None:
    """Show whether the daemon is ready, and what each component waits for, since when and why.

    The exit code is 1 if it is not ready. Waits for a broker, a queue or the API server end by themselves.

    Example: retrainer status -o json
    """
    answer = session.client.get("status")
    session.print(answer, lambda console: _print(console, answer), code=int(not answer["ready"]))


def _print(console: Console, answer: dict[str, Any]) -> None:
    ready = "ready" if answer["ready"] else "not ready"
    show.facts(console, {"instance": answer["instance"], "state": show.word(ready)})
    for reason in answer["reasons"]:
        console.print(show.clean(f"not ready: {reason}"), soft_wrap=True)
    headers = ("COMPONENT", "WAITS FOR", "SINCE", "WHY")
    rows = [
        (one["component"], one["dependency"], show.relative(one["since"]), one["error"] or "-")
        for one in answer["waiting"]
    ]
    if rows:
        console.print()
    show.table(console, headers, rows, "No component waits.")
