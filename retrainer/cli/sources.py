"""Sources: list, show, reset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, remote
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from rich.console import Console

_SWEEP = "sweep:"
"""Prefix of partitions without a read position: they hold since when a bucket is swept."""


@click.group()
def sources() -> None:
    """List and show sources, and reset partitions."""


@sources.command("list")
@remote
def list_sources(session: Session) -> None:
    """List the sources with their state.

    Example: retrainer sources list
    """
    answer = session.client.get("sources")
    headers = ("NAME", "TYPE", "STATE", "LAST EVENT", "LAG", "PROBLEM")
    rows = map(_line, answer["items"])
    session.print(answer, lambda console: show.table(console, headers, rows, "There are no sources."))


def _line(source: dict[str, Any]) -> list[object]:
    halted = ", ".join(part["partition"] for part in source["halted"])
    trouble = "; ".join(words for words in (source["last_error"], f"halted: {halted}" if halted else "") if words)
    return [
        source["name"],
        source["type"],
        show.word(_state(source)),
        show.relative(source["last_event_at"]),
        "-" if source["lag"] is None else source["lag"],
        trouble or "-",
    ]


def _state(source: dict[str, Any]) -> str:
    """Return the most important state as one word."""
    if source["halted"]:  # first, because it also makes the source not up, and only a decision ends it
        return "halted"
    if not source["up"]:
        return "down"
    return "silent" if source["silent"] else "up"


@sources.command("show")
@click.argument("source", metavar="NAME")
@remote
def show_source(session: Session, source: str) -> None:
    """Show one source, the position of each partition, and why partitions are halted.

    Example: retrainer sources show clicks
    """
    answer = session.client.get("sources", source)
    session.print(answer, lambda console: _print(console, answer))


def _print(console: Console, source: dict[str, Any]) -> None:
    every = source["max_silence"]
    show.facts(
        console,
        {
            "source": source["name"],
            "type": source["type"],
            "state": show.word(_state(source)),
            "problem": source["last_error"],
            "failed polls": source["poll_errors"] or "",
            "lag": "" if source["lag"] is None else source["lag"],
            "last event": show.at(source["last_event_at"]) or "never",
            "max silence": "" if every is None else show.span(every),
            "configured since": show.at(source["first_seen_at"]),
        },
    )
    halted = {part["partition"]: part["reason"] for part in source["halted"]}
    known = {one["partition"]: one for one in source["positions"]}
    rows = [
        (part, known[part]["next"] if part in known else "-", show.word("halted" if part in halted else "read"))
        for part in sorted({*known, *halted})
        if not part.startswith(_SWEEP)
    ]
    if rows:
        console.print()
        show.table(console, ("PARTITION", "NEXT", "STATE"), rows, "")
    for part in sorted(part for part in known if part.startswith(_SWEEP)):
        begun = show.at(rfc3339(known[part]["next"]))
        console.print(
            show.clean(f"{part.removeprefix(_SWEEP)} is swept for objects that arrived after {begun}."), soft_wrap=True
        )
    for part, reason in halted.items():
        console.print(show.clean(f"{part} is halted: {reason}"), soft_wrap=True)


class _Place(click.ParamType[str | int]):
    """`earliest`, `latest` or an offset."""

    name = "earliest|latest|OFFSET"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        if value in ("earliest", "latest"):
            return str(value)
        try:
            return click.IntRange(0).convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f"{value!r} is not earliest, latest or an offset", param, ctx)


@sources.command()
@click.argument("source", metavar="NAME")
@click.option("--partition", required=True, help="Partition as shown by `sources show`: for Kafka, topic/partition.")
@click.option("--to", type=_Place(), required=True, help="Where to continue.")
@click.option("--dry-run", is_flag=True, help="Only show where it would continue, and what is skipped or read again.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@remote
def reset(session: Session, source: str, partition: str, to: str | int, dry_run: bool, yes: bool) -> None:
    """Set where a partition continues: earlier records are not read, later ones that were read already count again.

    Example: retrainer sources reset clicks --partition clicks/3 --to latest
    """
    if not yes and not dry_run:
        click.confirm(f"Continue {partition} of {source} at {to}?", abort=True, err=True)
    body: dict[str, Any] = {"partition": partition, "to": to, **({"dry_run": True} if dry_run else {})}
    answer = session.client.post("sources", source, "reset", body=body)
    would = "would be: " if dry_run else ""
    session.print(
        answer, lambda console: console.print(show.clean(f"{would}{partition} of {source} {answer['detail']}."))
    )
