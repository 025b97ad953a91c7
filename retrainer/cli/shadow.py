"""Reports what rules in `mode: shadow` would have done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.many_rules import ALL
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("rule", required=False)
@click.option("--limit", type=click.IntRange(1), default=200, help="Maximum number of runs.")
@remote
def shadow(session: Session, rule: str | None, limit: int) -> None:
    """Report the runs that rules in `mode: shadow` would have started, the newest first; of RULE, or of all of them.

    Example: retrainer shadow churn --limit 20
    """
    lines = {line["name"]: line for line in session.client.list("rules", limit=ALL, state="shadow")["items"]}
    names = [rule] if rule is not None else sorted(lines)
    runs = [run for name in names for run in _would_have_run(session, name, limit)]
    runs = sorted(runs, key=lambda run: str(run["last_at"]), reverse=True)[:limit]
    report = {"rules": [_line(name, lines.get(name), runs) for name in names], "runs": runs}
    session.print(report, lambda console: _print(console, report))


def _would_have_run(session: Session, name: str, limit: int) -> list[dict[str, Any]]:
    decisions = session.client.list("decisions", limit=limit, rule=name, decision="fire")["items"]
    return [one for one in decisions if one["reason"] == "shadow"]


def _line(name: str, rule: dict[str, Any] | None, runs: list[dict[str, Any]]) -> dict[str, Any]:
    own = [run for run in runs if run["rule"] == name]
    return {
        "rule": name,
        "in_shadow": rule is not None,
        "runs": len(own),
        "first_at": own[-1]["last_at"] if own else None,
        "last_at": own[0]["last_at"] if own else None,
        "verdict": rule["verdict"] if rule is not None else "",
    }


def _print(console: Console, report: dict[str, Any]) -> None:
    rows = [
        (r["rule"], r["runs"], show.relative(r["first_at"]), show.relative(r["last_at"]), r["verdict"] or "-")
        for r in report["rules"]
    ]
    show.table(console, ("RULE", "WOULD HAVE RUN", "FIRST", "LAST", "NOW"), rows, "No rule is in `mode: shadow`.")
    if report["runs"]:
        console.print()
        lines = [(show.at(run["last_at"]), run["rule"], run["key"] or "-", run["detail"]) for run in report["runs"]]
        show.table(console, ("AT", "RULE", "KEY", "WHY"), lines, "")
