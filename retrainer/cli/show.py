"""Text output: tables, relative times, and colours on terminals."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from retrainer.util import counts
from retrainer.util.clock import SystemClock
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_WIDE = 10_000
_STYLES = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "ERROR": "red",
    "UNKNOWN": "red",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "fire": "green",
    "hold": "yellow",
    "skip": "yellow",
    "satisfied": "green",
    "matched": "green",
    "done": "green",
    "refused": "red",
    "missed": "red",
    "paused": "yellow",
    "up": "green",
    "silent": "yellow",
    "halted": "red",
    "down": "red",
    "ready": "green",
    "not ready": "red",
}
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def console(*, stderr: bool = False) -> Console:
    """Return a console for stdout or stderr. Into a pipe, nothing is wrapped, cut or coloured."""
    width = None if (sys.stderr if stderr else sys.stdout).isatty() else _WIDE
    return Console(width=width, highlight=False, markup=False, emoji=False, stderr=stderr)


def clean(value: object) -> str:
    """Return text without terminal control characters."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in str(value))


def word(value: object) -> Text:
    """Return a state, coloured by its meaning."""
    return Text(clean(value), style=_STYLES.get(str(value), ""))


def table(console: Console, headers: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> None:
    """Print rows under headers, or `nothing` if there are none."""
    grid = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    console.print(grid if grid.row_count else nothing)


def facts(console: Console, named: Mapping[str, object]) -> None:
    """Print names and values, one per line; empty values are left out."""
    grid = Table.grid(padding=(0, 2))
    for name, value in named.items():
        if value not in (None, "", {}, []):
            grid.add_row(Text(name, style="bold"), value if isinstance(value, Text) else Text(clean(value)))
    console.print(grid)


def problems(console: Console, rendered: Iterable[str]) -> None:
    """Print problems of configuration files, each followed by an empty line."""
    for problem in rendered:
        console.print(problem, soft_wrap=True, end="\n\n")


def relative(moment: str | None) -> str:
    """Return `3m ago`, `in 2h`, or `-` for None."""
    if moment is None:
        return "-"
    away = epoch(moment) - SystemClock().now()
    return f"in {span(away)}" if away > 0 else f"{span(-away)} ago"


def span(length: float) -> str:
    """Return seconds in their two largest units: `45s`, `3m`, `2h 5m`, `9d 3h`."""
    whole = int(length)
    for at, (unit, name) in enumerate(_UNITS):
        if whole >= unit:
            rest, below = whole % unit, _UNITS[at + 1] if at + 1 < len(_UNITS) else None
            more = f" {rest // below[0]}{below[1]}" if below and unit > 60 and rest >= below[0] else ""
            return f"{whole // unit}{name}{more}"
    return "0s"


def lasted(item: Mapping[str, Any]) -> str:
    """Return how long a run took, or has run so far."""
    if item.get("started_at") is None:
        return "-"
    end = epoch(item["ended_at"]) if item.get("ended_at") else SystemClock().now()
    return span(max(0.0, end - epoch(item["started_at"])))


many = counts.many
"""See `retrainer.util.counts.many`."""


def progress(line: str = "") -> None:
    """Show a line in place of the previous one, on a terminal only; an empty line at the end."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{line}", err=True, nl=False)


def dropped(answer: Mapping[str, Any], what: str) -> str:
    """Return the result of a withdrawal as text."""
    return f"Withdrew {many(answer['dropped'], what)}, cancelled {many(answer['cancelled'], 'waiting run')}."


def pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in values.items())


def _value(value: Any) -> str:
    """Return a value as in JSON, without quotes and redundant digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def at(moment: str | None) -> str:
    """Return a time and how far away it is, for the page of a single item."""
    return "" if moment is None else f"{moment} ({relative(moment)})"
