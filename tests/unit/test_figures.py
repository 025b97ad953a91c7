"""The pages with measured figures agree with bench.json."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.pages import HEAD, ROW, ROWS, shown, with_rows, with_table, written


def test_no_page_shows_a_figure_that_is_not_in_bench_json() -> None:
    for page, text in written().items():
        assert page.read_text() == text, "run `.venv/bin/python -m tests.benchmarks.pages`"


def test_each_row_that_names_a_figure_begins_with_a_number_that_can_be_written() -> None:
    rows = [line for line in ROWS.read_text().splitlines() if line.endswith("` |")]
    assert rows
    assert [row for row in rows if not ROW.search(row)] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(0, "0", id="nothing"),
        pytest.param(10.0, "10", id="no places that say nothing"),
        pytest.param(0.354, "0.354", id="less than one"),
        pytest.param(-4.0999999999, "-4.1", id="less than before"),
        pytest.param(228.94, "229", id="three digits"),
        pytest.param(19266, "19,300", id="more than a thousand"),
        pytest.param(999.9, "1,000", id="a thousand, once it is rounded"),
    ],
)
def test_a_figure_is_shown_as_people_read_it(value: float, text: str) -> None:
    assert shown(value) == text


def figure(name: str, value: float, goal: float | None = None, *, met: bool | None = None) -> dict[str, Any]:
    more = {"detail": {"seconds": 4.37}, "at_least": False, "measured_at": "2026-01-02T03:04:05+00:00"}
    return {"name": name, "value": value, "unit": "s", "goal": goal, "met": met, **more}


def test_a_row_that_names_a_figure_gets_its_number() -> None:
    page = "| 100 rules | -1.5 s, at most | `start` |\n| all | 7 s | `start/seconds` |\n| a poll of 10 | 55,000 | |\n"
    assert with_rows(page, [figure("start", 2589.4)]) == (
        "| 100 rules | 2,590 s, at most | `start` |\n| all | 4.37 s | `start/seconds` |\n| a poll of 10 | 55,000 | |\n"
    )


def test_a_row_must_not_name_what_was_not_measured() -> None:
    with pytest.raises(KeyError, match="strat"):
        with_rows("| 100 rules | 1.5 s | `strat` |\n", [figure("start", 2.6)])


def test_the_table_replaces_the_one_before_it() -> None:
    figures = [figure("stop", 3, 2, met=False), figure("start", 2.6)]
    page = with_table(f"# Measured\n{HEAD}| `old` | 1 | | | |\n", figures)
    assert page == (
        f"# Measured\n{HEAD}| `start` | 2.6 s |  |  | 2026-01-02 |\n| `stop` | 3 s | ≤ 2 | **no** | 2026-01-02 |\n"
    )
