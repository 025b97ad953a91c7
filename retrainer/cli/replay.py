"""Replays a source for rules that did not count its events."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.complete import source_names
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console

POLL = 0.5
"""Seconds between two progress requests."""
_MEANINGS = {
    "matched": "counted",
    "duplicate": "counted before by all chosen rules",
    "filtered": "evaluated by the chosen rules, does not match",
    "ignored": "of no chosen rule, or the source will still read it by itself",
    "unknown": "older than the ledger, so it is unknown whether it was counted; not counted",
    "dead_lettered": "a rule failed on it",
}


@click.command()
@click.argument("source", shell_complete=source_names)
@click.option("--from", "since", metavar="TIME", required=True, help="RFC 3339, or a duration before now: 7d.")
@click.option("--to", "until", metavar="TIME", help="The same; now if not given.")
@click.option(
    "--rule", "rules", multiple=True, help="Only for this rule; may be repeated. Default: all rules of the source."
)
@click.option("--dry-run", is_flag=True, help="Only count what would happen.")
@remote
def replay(session: Session, source: str, since: str, until: str | None, rules: tuple[str, ...], dry_run: bool) -> None:
    """Read a source again, for rules that did not count its events. What a rule counted is not counted again.

    Ctrl-C cancels the replay. Events that were counted until then stay.

    Example: retrainer replay clicks --from 7d --rule churn --dry-run
    """
    order = {"from": since, "to": until, "rules": list(rules), "dry_run": dry_run}
    progress = session.client.post("sources", source, "replay", body=order)
    try:
        progress = _follow(session, source, progress)
    except KeyboardInterrupt:
        session.client.delete("sources", source, "replay")
        progress = _follow(session, source, progress)
    session.print(progress, lambda console: _summary(console, progress), code=int(progress["state"] != "done"))


def _follow(session: Session, source: str, progress: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end; on a terminal, a line shows the progress."""
    while progress["state"] == "running":
        reached = f", at {progress['reached']}" if progress["reached"] else ""
        counted = f"{progress['read']} read, {progress['outcomes']['matched']} counted"
        show.progress(show.clean(f"{counted}{reached}"))
        time.sleep(POLL)
        progress = session.client.get("sources", source, "replay")
    show.progress()
    return progress


def _summary(console: Console, progress: dict[str, Any]) -> None:
    what = "would be read again" if progress["dry_run"] else "read again"
    error = f": {progress['error']}" if progress["error"] else ""
    named = f"{progress['source']} from {progress['from']} to {progress['to']}, for {', '.join(progress['rules'])}"
    console.print(show.clean(f"{named}: {progress['state']}{error}"), soft_wrap=True)
    rows = [(word, progress["outcomes"].get(word, 0), words) for word, words in _MEANINGS.items()]
    show.table(console, ("OUTCOME", "EVENTS", ""), rows, "")
    console.print(f"{progress['read']} {what}")
