"""Dead letters: list, show, replay, discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.complete import source_names
from retrainer.cli.period import period
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

_AT_ONCE = 500


@click.group()
def dead_letters() -> None:
    """List, show, replay and discard dead letters."""


@dead_letters.command("list")
@click.option("--source", help="Only dead letters of this source.", shell_complete=source_names)
@click.option("--reason", help="Only dead letters with this reason.")
@period("Stored")
@click.option("--limit", type=click.IntRange(1), default=50, help="Maximum number of dead letters.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def list_dead_letters(session: Session, /, limit: int, **wanted: str | None) -> None:
    """List dead letters, the newest first.

    Example: retrainer dead-letters list --source clicks
    """
    answer = session.client.list("dead-letters", limit=limit, **wanted)
    rows = [
        (one["id"], show.relative(one["at"]), one["source"], one["reason"], one["rule"] or "-", one["error"])
        for one in answer["items"]
    ]
    headers = ("ID", "RECEIVED", "SOURCE", "REASON", "RULE", "ERROR")
    session.print(answer, lambda console: show.table(console, headers, rows, "There are no dead letters."))


@dead_letters.command("show")
@click.argument("number", metavar="ID", type=click.IntRange(0))
@remote
def show_dead_letter(session: Session, number: int) -> None:
    """Show one dead letter with its payload.

    Example: retrainer dead-letters show 17
    """
    letter = session.client.get("dead-letters", str(number))

    def render(console: Console) -> None:
        named = {name: letter[name] for name in ("id", "source", "event", "reason", "rule", "error")}
        size = f"{letter['size']} bytes ({letter['encoding']})"
        show.facts(console, {**named, "received": show.at(letter["at"]), "size": size})
        console.print()
        console.print(show.clean(letter["payload"]), soft_wrap=True)

    session.print(letter, render)


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--reason", help="With --all: only dead letters with this reason."),
        click.option("--source", help="With --all: only dead letters of this source.", shell_complete=source_names),
        click.option("--all", "every", is_flag=True, help="All current dead letters."),
        click.argument("ids", metavar="[ID]...", type=click.IntRange(0), nargs=-1),
    ):
        command = option(command)
    return command


def _chosen(session: Session, ids: tuple[int, ...], *, every: bool, **wanted: str | None) -> list[int]:
    if every == bool(ids):
        raise click.UsageError("name dead letters by their ids, or say --all")
    if not every:
        return list(dict.fromkeys(ids))
    found = session.client.list("dead-letters", limit=1_000_000, **wanted)["items"]
    return sorted(one["id"] for one in found)


def _in_parts(ids: list[int]) -> list[list[int]]:
    return [ids[i : i + _AT_ONCE] for i in range(0, len(ids), _AT_ONCE)]


@dead_letters.command()
@_selection
@remote
def replay(session: Session, ids: tuple[int, ...], every: bool, source: str | None, reason: str | None) -> None:
    """Process dead letters again. Those that fail again become dead letters again.

    Example: retrainer dead-letters replay 17 18
    """
    chosen = _chosen(session, ids, every=every, source=source, reason=reason)
    answers = [session.client.post("dead-letters", "replay", body={"ids": part}) for part in _in_parts(chosen)]
    failed: list[dict[str, Any]] = [one for answer in answers for one in answer["failed"]]
    total = {"replayed": sum(answer["replayed"] for answer in answers), "failed": failed}

    def render(console: Console) -> None:
        console.print(f"{total['replayed']} replayed, {len(failed)} failed")
        for one in failed:
            console.print(show.clean(f"{one['id']}: {one['error']}"))

    session.print(total, render, code=1 if failed else 0)


@dead_letters.command()
@_selection
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@remote
def discard(
    session: Session, ids: tuple[int, ...], every: bool, source: str | None, reason: str | None, yes: bool
) -> None:
    """Delete dead letters permanently.

    Example: retrainer dead-letters discard --all --source clicks
    """
    chosen = _chosen(session, ids, every=every, source=source, reason=reason)
    if not yes and chosen:
        click.confirm(f"Delete {show.many(len(chosen), 'dead letter')} permanently?", abort=True, err=True)
    answers = [session.client.post("dead-letters", "discard", body={"ids": part}) for part in _in_parts(chosen)]
    total = {"discarded": sum(answer["discarded"] for answer in answers)}
    session.print(total, lambda console: console.print(f"{total['discarded']} discarded"))
