"""Activity: who did what, what was refused, and which rule files were edited."""

from __future__ import annotations

from typing import Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names
from retrainer.cli.period import period
from retrainer.cli.session import Session, remote


@click.command()
@click.option("--rule", help="Only what concerns this rule.", shell_complete=rule_names)
@click.option("--by", metavar="TOKEN", help="Only what the holder of the token of this name did.")
@period("Done")
@click.option("--limit", type=click.IntRange(1), default=50, help="Maximum number of lines.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def activity(session: Session, /, **filters: Any) -> None:
    """List acts, refusals and edits of rule files, the newest first. Equal refusals of an hour are one line.

    Example: retrainer activity --rule churn --since 2026-11-24T08:00:00Z
    """
    answer = session.client.list("activity", **filters)
    headers = ("WHEN", "BY", "ACT", "ON", "RESULT", "TIMES", "FROM", "DETAIL")
    rows = map(_line, answer["items"])
    session.print(answer, lambda console: show.table(console, headers, rows, "There is no such activity."))


def _line(item: dict[str, Any]) -> list[object]:
    by = item["by"] or "(unknown)"
    return [
        show.relative(item["last_at"]),
        f"{by} ({item['on_behalf_of']})" if item["on_behalf_of"] else by,
        f"{item['act']} (dry run)" if item["dry_run"] else item["act"],
        _place(item),
        show.word(item["result"]),
        item["count"],
        item["address"] or "-",
        item["detail"] or "-",
    ]


def _place(item: dict[str, Any]) -> str:
    rule = f"{item['rule']}[{item['key']}]" if item["key"] else item["rule"]
    run = f"run {item['run']}" if item["run"] else ""
    return " ".join(part for part in (rule, run, item["target"]) if part) or "-"
