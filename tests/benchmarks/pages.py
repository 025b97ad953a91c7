"""Write the figures of bench.json into the pages that show them, so that pages and bench.json agree.

docs/concepts/benchmarks.md ends with a table of all figures. In docs/how-to/operations/sizing.md a row whose last
cell names a figure starts the cell before it with that figure's number. The name is `replicas_miscounted`, or
`burst_lost/seconds` for a detail of a figure.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).parents[2]
BENCH = ROOT / "bench.json"
ALL, ROWS = ROOT / "docs/concepts/benchmarks.md", ROOT / "docs/how-to/operations/sizing.md"
DIGITS = 3
HEAD = "| figure | measured | goal | met | on |\n| --- | --- | --- | --- | --- |\n"
ROW = re.compile(r"^(\|.*\| )(-?[\d.,]+)([^|]*\| `([a-z0-9_/]+)` \|)$", re.MULTILINE)


def write() -> None:
    """Update both pages."""
    for page, text in written().items():
        page.write_text(text)


def written() -> dict[Path, str]:
    """Return both pages with the current figures."""
    figures = orjson.loads(BENCH.read_bytes())["figures"]
    return {ALL: with_table(ALL.read_text(), figures), ROWS: with_rows(ROWS.read_text(), figures)}


def with_table(page: str, figures: Iterable[Mapping[str, Any]]) -> str:
    before, _, _ = page.partition(HEAD)
    return before + HEAD + "".join(map(_line, sorted(figures, key=lambda figure: str(figure["name"]))))


def with_rows(page: str, figures: Iterable[Mapping[str, Any]]) -> str:
    """Fill in the rows of a page. Raise KeyError for a row that names an unknown figure."""
    known = {figure["name"]: figure for figure in figures}

    def row(found: re.Match[str]) -> str:
        name, _, detail = found[4].partition("/")
        value = known[name]["detail"][detail] if detail else known[name]["value"]
        return f"{found[1]}{shown(value)}{found[3]}"

    return ROW.sub(row, page)


def shown(value: float) -> str:
    """Format a number with three significant digits and thousands separators."""
    rounded = float(f"{value:.{DIGITS}g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def _line(figure: Mapping[str, Any]) -> str:
    sign = "≥" if figure["at_least"] else "≤"
    goal = "" if figure["goal"] is None else f"{sign} {figure['goal']:,g}"
    met = {None: "", True: "yes", False: "**no**"}[figure["met"]]
    measured = f"{shown(figure['value'])} {figure['unit']}".strip()
    return f"| `{figure['name']}` | {measured} | {goal} | {met} | {figure['measured_at'][:10]} |\n"


if __name__ == "__main__":
    write()
