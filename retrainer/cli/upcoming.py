"""Upcoming: what the rules will decide if nothing arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names
from retrainer.cli.period import period
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.option("--rule", help="Only this rule.", shell_complete=rule_names)
@click.option("--kind", multiple=True, help="Only this kind, such as schedule or cooldown; may be repeated.")
@period("Decided")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, help="Maximum number of lines.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def upcoming(session: Session, /, **filters: Any) -> None:
    """List what the rules will decide, the next first, and what would hold each run: within an hour, or until --until.

    Example: retrainer upcoming --rule churn --until 2027-04-01T00:00:00Z
    """
    answer = session.client.get("upcoming", **{name: value for name, value in filters.items() if value})
    session.print(answer, lambda console: _print(console, answer))


def _print(console: Console, answer: dict[str, Any]) -> None:
    headers = ("AT", "RULE", "KIND", "SLOT", "THEN", "WHY")
    show.table(console, headers, map(_line, answer["items"]), "Nothing is due by itself in this time.")
    if answer["next"] is not None:
        console.print(f"There are more: --cursor {answer['next']}")
    if not answer["complete"]:
        console.print(f"Computed up to {answer['until']} only: choose one rule, or a shorter time.")


def _line(item: dict[str, Any]) -> list[object]:
    slot = f"{item['local'][:16]} {item['zone']}" if item["local"] else "-"
    return [
        show.relative(item["at"]),
        f"{item['rule']}[{item['key']}]" if item["key"] else item["rule"],
        item["kind"],
        slot,
        f"{show.word(item['outcome'])} (shadow)" if item["shadow"] else show.word(item["outcome"]),
        show.clean(_why(item)),
    ]


def _why(item: dict[str, Any]) -> str:
    held = [f"{held['detail']} until {held['until']}" if held["until"] else held["detail"] for held in item["held_by"]]
    said = [] if any(each["detail"] == item["detail"] for each in item["held_by"]) else [item["detail"]]
    return "; ".join(part for part in (*said, *held, item["clock"]) if part)
