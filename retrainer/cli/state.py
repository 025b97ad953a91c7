"""State: imports when models were trained before retrainer was installed."""

from __future__ import annotations

import csv
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console

COLUMNS = ("rule", "key", "succeeded_at", "promoted_at")
PAGE = 500
"""Lines per request."""
LONGEST = 65536
"""Characters of a line; the csv module accepts twice as many."""
MOST_RULE, MOST_KEY = 63, 200
_SUCH_AS = "write it as 2026-11-01T02:30:00Z"


@click.group()
def state() -> None:
    """Import when models were last trained, before retrainer was used."""


@state.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@remote
def import_state(session: Session, file: Path) -> None:
    """Import when models were last trained, so that each becomes due by its age, and not all at once.

    FILE is CSV with a header: rule, key (empty for rules without keys), succeeded_at, promoted_at (optional).
    Times are RFC 3339, such as 2026-11-01T02:30:00Z. Later times that are known already are kept.

    Example: retrainer state import ages.csv
    """
    ages, failed = _read(file)
    imported, lines = 0, list(ages)
    for at in range(0, len(lines), PAGE):
        page = lines[at : at + PAGE]
        answer = session.client.post("state", "import", body={"ages": [ages[line] for line in page]})
        imported += answer["imported"]
        failed += [{**one, "line": page[one["line"] - 1]} for one in answer["failed"]]
    failed.sort(key=lambda one: one["line"])
    answer = {"imported": imported, "failed": failed}
    session.print(answer, lambda console: _print(console, file, imported, failed), code=1 if failed else 0)


def _read(file: Path) -> tuple[dict[int, dict[str, str | None]], list[dict[str, Any]]]:
    """Return ages by line number, and the errors of the other lines."""
    ages, failed = {}, []
    with closing(_lines(file)) as lines:
        reader = csv.DictReader(lines)
        unknown = [name for name in reader.fieldnames or () if name not in COLUMNS]
        if unknown or "rule" not in (reader.fieldnames or ()) or "succeeded_at" not in (reader.fieldnames or ()):
            what = f"unknown column {unknown[0]!r}" if unknown else "columns are missing"
            raise click.UsageError(f"{file}: {what}: the header is rule,key,succeeded_at,promoted_at")
        for row in reader:
            try:
                ages[reader.line_num] = _age(row)
            except ValueError as error:
                failed.append({"line": reader.line_num, "error": str(error)})
    return ages, failed


def _lines(file: Path) -> Generator[str]:
    """Yield lines. Raise UsageError for text that is not UTF-8, or a line that is too long."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        try:
            while line := text.readline(LONGEST):
                if len(line) == LONGEST:
                    raise click.UsageError(
                        f"{file}: a line of more than {LONGEST} characters: this is not a CSV file with ages"
                    )
                yield line
        except UnicodeDecodeError:
            raise click.UsageError(f"{file}: not UTF-8") from None


def _age(row: dict[str, str | None]) -> dict[str, str | None]:
    """Return the times of a line. Raise ValueError with a message for the user."""
    told = {name: _moment(row.get(name)) for name in ("succeeded_at", "promoted_at")}
    rule, key = row["rule"] or "", row.get("key") or ""
    if len(rule) > MOST_RULE or len(key) > MOST_KEY:
        raise ValueError(f"a rule has at most {MOST_RULE} characters, a key {MOST_KEY}")
    return {"rule": rule, "key": key, **told}


def _moment(text: str | None) -> str | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a time with a zone: {_SUCH_AS}") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text[:60]!r} is not a time with a zone: {_SUCH_AS}")
    if not 1970 <= moment.year < 2199:
        raise ValueError(f"{text[:60]!r} is not within 1970 to 2199")
    return moment.isoformat()


def _print(console: Console, file: Path, imported: int, failed: list[dict[str, Any]]) -> None:
    for one in failed:
        console.print(show.clean(f"{file}:{one['line']}: {one['error']}"), soft_wrap=True)
    console.print(f"{imported} imported")
