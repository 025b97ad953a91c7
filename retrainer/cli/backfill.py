"""Backfills: run slots that a schedule missed, skipped, or had before the rule existed."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names
from retrainer.cli.rules import parameter
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console

POLL = 1.0
"""Seconds between two progress requests."""
_STATES = ("waiting", "running", "succeeded", "failed", "cancelled", "dropped")


@click.command()
@click.argument("rule", shell_complete=rule_names)
@click.option(
    "--from", "since", metavar="TIME", help="Slots from this time on: 2026-11-01, 2026-11-01T02:30, or 7d before now."
)
@click.option("--to", "until", metavar="TIME", help="Slots before this time. Default: now.")
@click.option("--trigger", help="Only slots of this schedule. Default: all schedules of the rule.")
@click.option("--key", default="", help="Key of a rule with for_each.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; may be repeated.")
@click.option("--rerun", is_flag=True, help="Include slots that ran already.")
@click.option("--dry-run", is_flag=True, help="Only show what would run.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--follow", is_flag=True, help="Wait until all runs have ended. Ctrl-C ends the wait, not the runs.")
@click.option("--cancel", is_flag=True, help="Withdraw slots that have not started. Started runs continue.")
@click.option("--idempotency-key", help="A repeated request with the same key starts nothing twice.")
@remote
def backfill(session: Session, /, rule: str, key: str, since: str | None, **how: Any) -> None:
    """Start a run for each past slot of a rule's schedules; no slot runs twice.

    Without --from, show the progress of the last backfill.

    Example: retrainer backfill churn --from 7d --param region=eu --dry-run
    """
    if how["cancel"]:
        _cancel(session, rule, key, alone=since is None)
        return
    if since is None:
        _alone(how)
        _report(session, rule, key, None, follow=how["follow"])
        return
    order = {"from": since, "to": how["until"], "trigger": how["trigger"], "key": key, "rerun": how["rerun"]}
    order["parameters"] = dict(parameter(text) for text in how["params"])
    preview = session.client.post("rules", rule, "backfills", body={**order, "dry_run": True})
    if how["dry_run"]:
        session.print(preview, lambda console: _preview(console, preview))
        return
    if not how["yes"]:
        _confirm(preview)
    headers = {"Idempotency-Key": how["idempotency_key"] or str(uuid.uuid4())}
    answer = session.client.post("rules", rule, "backfills", body=order, headers=headers)
    if how["follow"] and answer["count"]:
        _report(session, rule, key, answer["request"], follow=True)
        return
    session.print(answer, lambda console: _asked(console, answer, shown=not how["yes"]))


def _alone(how: dict[str, Any]) -> None:
    if any(how[name] for name in ("until", "trigger", "params", "rerun", "dry_run")):
        raise click.UsageError("give --from; without it, only the progress of the last backfill is shown")


def _cancel(session: Session, rule: str, key: str, *, alone: bool) -> None:
    if not alone:
        raise click.UsageError("--cancel withdraws all waiting slots: give no --from with it")
    keyed = {"key": key} if key else {}
    answer = session.client.delete("rules", rule, "backfills", **keyed)
    session.print(answer, lambda console: console.print(show.dropped(answer, "slot")))


def _confirm(preview: dict[str, Any]) -> None:
    """Show the preview on stderr, separate from the result, and ask for confirmation."""
    if not preview["count"]:
        return
    _preview(show.console(stderr=True), preview)
    click.confirm(f"Run {show.many(preview['count'], 'slot')}?", abort=True, err=True)


def _preview(console: Console, answer: dict[str, Any]) -> None:
    _table(console, answer)
    if answer["gpu_hours"] is not None:
        console.print(f"about {answer['gpu_hours']:g} GPU hours")
    last = show.at(answer["last_start"])
    if last:
        console.print(show.clean(f"estimated start of the last run: {last}, {answer['note']}"), soft_wrap=True)
    elif answer["note"]:
        console.print(show.clean(f"start of the last run: {answer['note']}"), soft_wrap=True)
    if (held := answer["held"]) is not None:
        until = f" until {held['until']}" if held["until"] else ""
        console.print(show.clean(f"held now: {held['reason']}{until}: {held['detail']}"), soft_wrap=True)


def _table(console: Console, answer: dict[str, Any]) -> None:
    console.print(
        show.clean(f"{_named(answer)}: {answer['count']} of {show.many(len(answer['slots']), 'slot')} to run")
    )
    rows = [
        (one["slot"], one["trigger"], show.word("fire" if one["runs"] else "skip"), one["why"], one["run"] or "")
        for one in answer["slots"]
    ]
    show.table(console, ("SLOT", "TRIGGER", "DECISION", "WHY", "RUN"), rows, "There are no slots in this time.")


def _asked(console: Console, answer: dict[str, Any], *, shown: bool) -> None:
    if not shown or not answer["count"]:
        _table(console, answer)
    if answer["count"]:
        key = f" --key {answer['key']}" if answer["key"] else ""
        follow = f"`retrainer backfill {answer['rule']}{key} --follow`"
        console.print(
            show.clean(f"Requested {show.many(answer['count'], 'slot')}; {follow} shows the progress."), soft_wrap=True
        )


def _named(answer: dict[str, Any]) -> str:
    return f"{answer['rule']}[{answer['key']}]" if answer["key"] else str(answer["rule"])


def _report(session: Session, rule: str, key: str, request: str | None, *, follow: bool) -> None:
    progress = session.client.get("rules", rule, "backfills", key=key or None, request=request)
    if follow:
        progress = _follow(session, rule, progress)
    failed = follow and progress["succeeded"] < progress["total"]
    session.print(progress, lambda console: _standing(console, progress), code=int(failed))


def _follow(session: Session, rule: str, progress: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end; on a terminal, a line shows the progress."""
    try:
        while not progress["ended"]:
            show.progress(_counts(progress))
            time.sleep(POLL)
            named = {"key": progress["key"] or None, "request": progress["request"]}
            progress = session.client.get("rules", rule, "backfills", **named)
    except KeyboardInterrupt:
        click.echo(
            f"\nthe backfill continues; `retrainer backfill {rule} --cancel` withdraws slots that have not started",
            err=True,
        )
    show.progress()
    return progress


def _counts(progress: dict[str, Any]) -> str:
    counts = ", ".join(f"{progress[word]} {word}" for word in _STATES if progress[word])
    return f"{show.many(progress['total'], 'slot')}: {counts}" if counts else "no slots"


def _standing(console: Console, progress: dict[str, Any]) -> None:
    by = f" by {progress['by']}" if progress["by"] else ""
    requested_at = show.at(progress["asked_at"])
    console.print(show.clean(f"{_named(progress)}: requested{by} at {requested_at}"), soft_wrap=True)
    rows = [
        (one["slot"], one["trigger"], show.word(one["phase"] or one["state"]), one["run"] or "")
        for one in progress["slots"]
    ]
    show.table(console, ("SLOT", "TRIGGER", "STATE", "RUN"), rows, "No slots to run.")
    console.print(_counts(progress))
