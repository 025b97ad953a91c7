"""One act on several rules, named or found by their labels: a table with the answer of each."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal

import click

from retrainer.cli import show
from retrainer.cli.connection import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console

    from retrainer.cli.session import Session

ALL = 100_000
"""More rules than any configuration has."""
_MOST = 500
"""Rules of one request of the API."""
_RESULTS = ("done", "waits", "unchanged", "refused")

label_option = click.option(
    "--label", "labels", multiple=True, help="Instead of names: all rules with this label: team, or team=fraud."
)


def is_one(rules: Sequence[str], labels: Sequence[str]) -> bool:
    """Return whether one rule is meant, by its name. Raise UsageError if none is, or names and labels are mixed."""
    if bool(rules) == bool(labels):
        raise click.UsageError("name rules, or give --label" + (", not both" if rules else ""))
    return len(rules) == 1


def act_on_rules(
    session: Session,
    act: Literal["pause", "resume", "trigger"],
    chosen: tuple[Sequence[str], Sequence[str]],
    *,
    dry_run: bool,
    request: str | None = None,
    **more: str,
) -> None:
    """Do the act on the rules with these names or labels, and print the answers. Exit code 1 if one was refused."""
    rules = _named(session, *chosen)
    headers = {"Idempotency-Key": request or str(uuid.uuid4())}
    items: list[dict[str, Any]] = []
    for first in range(0, len(rules), _MOST):
        order = {"act": act, "rules": rules[first : first + _MOST], "dry_run": dry_run, **more}
        items += session.client.post("rule-acts", body=order, headers=headers)["items"]
    counts = Counter(item["result"] for item in items)
    answer = {"act": act, "dry_run": dry_run, **{result: counts[result] for result in _RESULTS}, "items": items}
    session.print(answer, _printed(answer), code=int(counts["refused"] > 0))


def _named(session: Session, rules: Sequence[str], labels: Sequence[str]) -> list[str]:
    if rules:
        return list(dict.fromkeys(rules))
    found = [rule["name"] for rule in session.client.list("rules", limit=ALL, label=list(labels))["items"]]
    if not found:
        raise CommandError(f"no rule has the label {' and '.join(labels)}: see `retrainer rules --label`")
    return found


def _printed(answer: dict[str, Any]) -> Callable[[Console], None]:
    def render(console: Console) -> None:
        rows = ((item["rule"], show.word(item["result"]), item.get("run") or "-", item["detail"]) for item in items)
        show.table(console, ("RULE", "RESULT", "RUN", "DETAIL"), rows, "")
        counts = ", ".join(f"{answer[result]} {result}" for result in _RESULTS if answer[result])
        console.print(f"{'Nothing was changed. It would be: ' if answer['dry_run'] else ''}{counts}.")

    items = answer["items"]
    return render
