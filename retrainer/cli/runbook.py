"""`retrainer runbook`: what an alert means and what to do, without a network and without the daemon."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrainer.cli.session import Session, local

if TYPE_CHECKING:
    from collections.abc import Iterable

RUNBOOKS = Path(__file__).with_name("runbooks")
"""One page of Markdown for each alert, with its name."""


def _names(_ctx: click.Context | None = None, _parameter: click.Parameter | None = None, begin: str = "") -> list[str]:
    return [name for name in sorted(path.stem for path in RUNBOOKS.glob("*.md")) if name.startswith(begin)]


@click.command()
@click.argument("alert", default="", shell_complete=_names)
@local
def runbook(session: Session, alert: str) -> None:
    """Print what an alert means, how to see it, and what to do. Without ALERT, list the alerts.

    The pages are part of the program: neither a network nor the daemon is needed.

    Example: retrainer runbook RetrainerDown
    """
    names = _names()
    if not alert:
        session.print({"alerts": names}, lambda console: console.print("\n".join(names)))
        return
    if alert not in names:
        raise session.failure(f"there is no alert {alert!r}{_meant(alert, names)}; `retrainer runbook` lists them")
    text = (RUNBOOKS / f"{alert}.md").read_text(encoding="utf-8")
    session.print({"alert": alert, "text": text}, lambda _: click.echo(text, nl=False))


def _meant(alert: str, names: Iterable[str]) -> str:
    """The name with other capitals, without its beginning, or with a mistake in it."""
    known = {form.lower(): name for name in names for form in (name, name.removeprefix("Retrainer"))}
    near = get_close_matches(alert.lower(), known, n=1)
    return f", did you mean {known[near[0]]!r}?" if near else ""
