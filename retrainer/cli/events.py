"""Events: list, show, find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import orjson

from retrainer.cli import show
from retrainer.cli.complete import rule_names, source_names
from retrainer.cli.period import period
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console

_LONG = 100
_OUTCOMES = ["matched", "filtered", "ignored", "dead_lettered"]


@click.group()
def events() -> None:
    """List and show events, and show the effect of one."""


@events.command("list")
@click.option("--source", help="Only events of this source.", shell_complete=source_names)
@click.option("--outcome", type=click.Choice(_OUTCOMES), help="Only events with this outcome.")
@click.option("--rule", help="Only events that matched this rule.", shell_complete=rule_names)
@click.option("--key", help="With --rule: only events that matched this key.")
@period("Received")
@click.option("--limit", type=click.IntRange(1), default=50, help="Maximum number of events.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def list_events(session: Session, /, limit: int, **wanted: str | None) -> None:
    """List accepted events, the newest first.

    Example: retrainer events list --rule churn --outcome matched
    """
    if wanted["key"] is not None and wanted["rule"] is None:
        raise click.UsageError("--key needs --rule")
    answer = session.client.list("events", limit=limit, **wanted)
    session.print(answer, lambda console: print_events(console, answer["items"], "There are no such events."))


def print_events(console: Console, items: list[dict[str, Any]], nothing: str) -> None:
    headers = ("SEQ", "SOURCE", "TYPE", "TIME", "OUTCOME", "RULES", "DATA")
    show.table(console, headers, [_line(event) for event in items], nothing)


def _line(event: dict[str, Any]) -> list[object]:
    data = orjson.dumps(event["data"]).decode()
    return [
        event["seq"],
        event["source"],
        event["type"],
        show.relative(event["time"]),
        show.word(event["outcome"]),
        _rules(event),
        data if len(data) <= _LONG else data[: _LONG - 1] + "…",
    ]


def _rules(event: dict[str, Any]) -> str:
    return ", ".join(f"{rule}[{key}]" if key else rule for rule, key in event["rules"]) or "-"


@events.command()
@click.argument("text")
@click.option("--source", help="Only events of this source.", shell_complete=source_names)
@period("Received")
@click.option("--cursor", help="`next` of the previous page.")
@click.option("--limit", type=click.IntRange(1, 50), default=5, help="Maximum number of events.")
@remote
def find(session: Session, /, text: str, limit: int, **wanted: str | None) -> None:
    """Show the effect of an event on each rule. TEXT is its number, its id, its object (bucket/key) or its subject.

    Subjects are searched in 20,000 events at a time, the newest first.

    Example: retrainer events find lake/churn/7.parquet --source lake
    """
    answer = session.client.get("events", "find", text=text, limit=limit, **wanted)

    def render(console: Console) -> None:
        if not answer["items"]:
            console.print("There is no such event, or it was pruned. Give its number, its id or its whole subject.")
        if answer["next"] is not None:
            number = answer["next"]
            console.print(
                f"Subjects of events before number {number} were not searched: continue with --cursor {number}"
            )
        for event in answer["items"]:
            print_events(console, [event], "")
            rows = [_effect(effect) for effect in event["effects"]]
            show.table(console, ("RULE", "OUTCOME", "RUN", "WHY"), rows, "No rule uses its source.")
            console.print()

    session.print(answer, render)


def _effect(effect: dict[str, Any]) -> list[object]:
    name = f"{effect['rule']}[{effect['key']}]" if effect["key"] else effect["rule"]
    run = effect["run"] or ("pending" if effect["outcome"] == "matched" else "-")
    return [name, show.word(effect["outcome"]), run, effect["detail"] or "-"]


@events.command("show")
@click.argument("seq", type=click.IntRange(0))
@remote
def show_event(session: Session, seq: int) -> None:
    """Show one event with all details.

    Example: retrainer events show 1042
    """
    event = session.client.get("events", str(seq))

    def render(console: Console) -> None:
        plain = {name: event[name] for name in ("seq", "source", "id", "type", "subject")}
        moments = {"time": show.at(event["time"]), "received": show.at(event["at"])}
        show.facts(console, {**plain, **moments, "outcome": show.word(event["outcome"]), "rules": _rules(event)})
        if event["attributes"]:
            console.print_json(orjson.dumps(event["attributes"]).decode())
        console.print_json(orjson.dumps(event["data"]).decode())

    session.print(event, render)
