"""Decisions: what each rule decided, and why."""

from __future__ import annotations

from typing import Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names
from retrainer.cli.period import period
from retrainer.cli.session import Session, remote


@click.group()
def decisions() -> None:
    """List decisions of rules, with their reasons."""


@decisions.command("list")
@click.option("--rule", help="Only decisions of this rule.", shell_complete=rule_names)
@click.option("--key", help="Only decisions for this key.")
@click.option("--decision", type=click.Choice(["fire", "hold", "skip"]), help="Only decisions of this kind.")
@period("Decided")
@click.option("--limit", type=click.IntRange(1), default=50, help="Maximum number of decisions.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def list_decisions(session: Session, /, **filters: Any) -> None:
    """List decisions, the newest first. Equal ones in a row are one line.

    Example: retrainer decisions list --rule churn --decision hold
    """
    answer = session.client.list("decisions", **filters)
    headers = ("LAST", "RULE", "KEY", "DECISION", "REASON", "TIMES", "RUN", "DETAIL")
    rows = map(_line, answer["items"])
    session.print(answer, lambda console: show.table(console, headers, rows, "There are no such decisions."))


def _line(decision: dict[str, Any]) -> list[object]:
    return [
        show.relative(decision["last_at"]),
        decision["rule"],
        decision["key"] or "-",
        show.word(decision["decision"]),
        decision["reason"],
        decision["count"],
        decision["run"] or "-",
        decision["detail"],
    ]
