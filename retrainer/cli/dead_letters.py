"""Dead letters: list, show, replay, discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names, source_names
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
@click.option("--rule", help="Only dead letters of this rule.", shell_complete=rule_names)
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
        click.option("--dry-run", is_flag=True, help="Only show what would happen."),
        click.option("--rule", help="With --all: only dead letters of this rule.", shell_complete=rule_names),
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


def _asked(session: Session, act: str, ids: list[int], *, dry_run: bool) -> list[dict[str, Any]]:
    """Send an act for dead letters, in parts; return the answers."""
    parts = [ids[i : i + _AT_ONCE] for i in range(0, len(ids), _AT_ONCE)]
    bodies: list[dict[str, Any]] = [{"ids": part, **({"dry_run": True} if dry_run else {})} for part in parts]
    return [session.client.post("dead-letters", act, body=body) for body in bodies]


@dead_letters.command()
@_selection
@remote
def replay(session: Session, /, ids: tuple[int, ...], every: bool, dry_run: bool, **wanted: str | None) -> None:
    """Process dead letters again. Those that fail again become dead letters again.

    Example: retrainer dead-letters replay 17 18 --dry-run
    """
    answers = _asked(session, "replay", _chosen(session, ids, every=every, **wanted), dry_run=dry_run)
    failed: list[dict[str, Any]] = [one for answer in answers for one in answer["failed"]]
    total: dict[str, Any] = {"replayed": sum(answer["replayed"] for answer in answers), "failed": failed}
    if dry_run:
        total["letters"] = [one for answer in answers for one in answer["letters"]]
        total["unchecked"] = sum(answer["unchecked"] for answer in answers)

    def render(console: Console) -> None:
        if dry_run:
            _print_preview(console, total)
            return
        console.print(f"{total['replayed']} replayed, {len(failed)} failed")
        for one in failed:
            console.print(show.clean(f"{one['id']}: {one['error']}"))

    session.print(total, render, code=1 if failed else 0)


def _print_preview(console: Console, total: dict[str, Any]) -> None:
    rows = [
        (one["id"], one["source"], one["rule"] or "-", "kept" if one["kept"] else "replayed", one["detail"])
        for one in total["letters"]
    ]
    show.table(console, ("ID", "SOURCE", "RULE", "WOULD BE", "DETAIL"), rows, "There are no such dead letters.")
    if total["unchecked"]:
        console.print(f"{total['unchecked']} more were not checked")


@dead_letters.command()
@_selection
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@remote
def discard(
    session: Session, /, ids: tuple[int, ...], every: bool, dry_run: bool, yes: bool, **wanted: str | None
) -> None:
    """Delete dead letters permanently.

    Example: retrainer dead-letters discard --all --source clicks
    """
    chosen = _chosen(session, ids, every=every, **wanted)
    if not yes and not dry_run and chosen:
        click.confirm(f"Delete {show.many(len(chosen), 'dead letter')} permanently?", abort=True, err=True)
    answers = _asked(session, "discard", chosen, dry_run=dry_run)
    total = {name: sum(answer[name] for answer in answers) for name in ("discarded", *(["size"] if dry_run else []))}
    would = f" would be ({total['size']} bytes)" if dry_run else ""
    session.print(total, lambda console: console.print(f"{total['discarded']}{would} discarded"))
