"""State: what is known of models before retrainer came."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = ("rule", "key", "succeeded_at", "promoted_at")
PAGE = 500
"""Lines of one request."""


@click.group()
def state() -> None:
    """Tell what is known of models from before."""


@state.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@remote
def import_state(session: Session, file: Path) -> None:
    """Tell when models were last trained, so that old ones are due when they are, and not all at once.

    FILE is CSV with a header: rule, key (empty for rules without), succeeded_at, promoted_at (may be left out).
    Moments are RFC 3339, such as 2026-11-01T02:30:00Z. What is known already and younger stays.
    """
    ages = _read(file)
    imported, failed = 0, []
    for at in range(0, len(ages), PAGE):
        answer = session.client.post("state", "import", body={"ages": ages[at : at + PAGE]})
        imported += answer["imported"]
        failed += [{**one, "line": one["line"] + at + 1} for one in answer["failed"]]
    session.print({"imported": imported, "failed": failed}, lambda console: _print(console, file, imported, failed))
    if failed:
        raise click.exceptions.Exit(1)


def _read(file: Path) -> list[dict[str, str | None]]:
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
        if unknown or "rule" not in (reader.fieldnames or ()) or "succeeded_at" not in (reader.fieldnames or ()):
            what = f"unknown column {unknown[0]!r}" if unknown else "columns are missing"
            raise click.UsageError(f"{file}: {what}: the header is rule,key,succeeded_at,promoted_at")
        return [
            {
                "rule": row["rule"],
                "key": row.get("key") or "",
                "succeeded_at": row["succeeded_at"] or None,
                "promoted_at": row.get("promoted_at") or None,
            }
            for row in reader
        ]


def _print(console: Console, file: Path, imported: int, failed: list[dict[str, Any]]) -> None:
    for one in failed:
        console.print(show.clean(f"{file}:{one['line']}: {one['error']}"), soft_wrap=True)
    console.print(f"{imported} imported")
