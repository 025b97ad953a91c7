"""What the three steps share: how rows are read and written, and how a step says what it found."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def say(outputs: Path, **values: object) -> None:
    """Write one file for each output parameter; `champion_auc` becomes `champion-auc`."""
    outputs.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        (outputs / name.replace("_", "-")).write_text(text, encoding="utf-8")
