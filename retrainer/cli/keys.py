"""Keys: the states of a rule with `for_each`."""

from __future__ import annotations

from typing import Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names
from retrainer.cli.session import Session, remote


@click.group()
def keys() -> None:
    """List the keys of a rule with for_each."""


@keys.command("list")
@click.argument("rule", shell_complete=rule_names)
@click.option("--limit", type=click.IntRange(1), default=100, help="Maximum number of keys.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def list_keys(session: Session, rule: str, limit: int, cursor: str | None) -> None:
    """List the keys of a rule that have a state, in their order.

    Example: retrainer keys list churn
    """
    answer = session.client.list("rules", rule, "keys", limit=limit, cursor=cursor)
    rows = map(_line, answer["items"])
    nothing = "It has no keys: it has no for_each, or no event yet."
    session.print(answer, lambda console: show.table(console, ("KEY", "CHANGED", "EVALUATED AGAIN"), rows, nothing))


def _line(key: dict[str, Any]) -> list[object]:
    return [key["key"] or "-", show.relative(key["touched_at"]), show.relative(key["wake_at"])]
