"""The demo's text about the API's responses."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from retrainer.cli.demo_story import Story, soon_text


def plain(lines: list[str]) -> list[str]:
    console = Console(width=200, no_color=True)
    return [console.render_str(line).plain for line in lines]


def file(seq: int, rows: int | None = 200) -> dict[str, Any]:
    return {"seq": seq, "source": "landing", "type": "s3", "data": {"key": f"customers-{seq}.csv", "rows": rows}}


def decided(number: int, decision: str = "hold", detail: str = "") -> dict[str, Any]:
    return {"id": number, "rule": "churn", "decision": decision, "reason": "batch_incomplete", "detail": detail}


def a_run(phase: str, progress: str = "", **more: Any) -> dict[str, Any]:
    ended = "2026-01-01T00:00:03.500Z" if phase in ("SUCCEEDED", "FAILED") else None
    times = {"created_at": "2026-01-01T00:00:00.000Z", "ended_at": ended}
    about = {"trigger": "enough_rows", "outputs": {}, "message": ""}
    return {"id": "01ABCDEFGH", "phase": phase, "progress": progress, **times, **about, **more}


def explained(rows: int | None) -> dict[str, Any]:
    def node(name: str, state: str = "", detail: str = "", children: list[Any] | None = None) -> dict[str, Any]:
        return {"name": name, "state": state, "detail": detail, "children": children or []}

    pending = [node("events", "3", "pending"), node("rows", str(rows), "pending")] if rows else []
    data = node("enough_rows", "waiting", "", pending)
    tree = [node("triggers", "any", "", [node("every_two_minutes"), data]), node("limits")]
    return {"earliest": "1970-01-01T00:02:00Z" if rows else None, "tree": tree}


@pytest.mark.parametrize(
    ("items", "lines"),
    [
        pytest.param([file(1)], ["event    customers-1.csv, 200 rows  (400 of 1,600)"], id="one-file"),
        pytest.param([file(2), file(1), file(3, None)], ["event    3 files, 400 rows  (400 of 1,600)"], id="folded"),
        pytest.param(
            [{"seq": 1, "source": "push", "type": "json", "data": {"by": "[me]"}}],
            ["event    push: json {'by': '[me]'}"],
            id="posted",
        ),
        pytest.param([], [], id="nothing"),
    ],
)
def test_events(items: list[Any], lines: list[str]) -> None:
    story = Story(1600)
    story.explained(explained(400))
    assert plain(story.events(items)) == lines
    assert story.events(items) == []


def test_an_event_that_completes_a_batch() -> None:
    story = Story(1600)
    story.explained(explained(None))
    assert plain(story.events([file(8)])) == ["event    customers-8.csv, 200 rows"]


def test_decisions_are_told_once_in_their_order() -> None:
    story = Story(1600)
    first, second = decided(1, "hold", "200 of 1600 rows"), decided(2, "fire")
    assert plain(story.decisions([second, first])) == [
        "decision churn hold (batch_incomplete): 200 of 1600 rows",
        "decision churn fire (batch_incomplete)",
    ]
    assert story.decisions([second, first]) == []
    assert story.last_verdict == "churn fire (batch_incomplete)"


def test_a_run_is_told_by_its_changes() -> None:
    story = Story(1600)
    told = [a_run("PENDING"), a_run("RUNNING", "0/3"), a_run("RUNNING", "0/3"), a_run("RUNNING", "1/3")]
    outputs = {"auc": 0.84321, "champion_auc": 0.8, "promoted": True, "rows": 1800.0}
    lines = [line for run in [*told, a_run("SUCCEEDED", "3/3", outputs=outputs)] for line in story.runs([run])]
    assert plain(lines) == [
        "run      CDEFGH PENDING  enough_rows",
        "run      CDEFGH RUNNING 0/3",
        "run      CDEFGH RUNNING 1/3",
        "run      CDEFGH SUCCEEDED in 3.5 s: auc 0.8432, previous champion 0.8000, promoted, 1,800 rows",
    ]
    assert story.ended is not None
    assert story.runs([a_run("SUCCEEDED", "3/3", outputs=outputs)]) == []


def test_a_failed_run_says_why() -> None:
    story = Story(1600)
    (line,) = plain(story.runs([a_run("FAILED", message="train: exit code 1: too few")]))
    assert line == "run      CDEFGH FAILED in 3.5 s: train: exit code 1: too few"


def test_how_the_rule_stands() -> None:
    story = Story(1600)
    story.explained(explained(600))
    assert (story.rows, story.earliest) == (600, 120.0)
    story.explained(explained(None))
    assert (story.rows, story.earliest) == (0, None)


def test_what_was_before_is_not_told() -> None:
    story = Story(1600)
    story.begin([file(7)], [decided(3)], [a_run("SUCCEEDED")])
    assert story.events([file(7), file(6)]) == story.decisions([decided(3)]) == story.runs([a_run("SUCCEEDED")]) == []
    assert story.ended is None


@pytest.mark.parametrize(
    ("at", "text"),
    [
        pytest.param(None, "", id="unknown"),
        pytest.param(142.4, "at the latest in 42 s", id="ahead"),
        pytest.param(99.0, "at the latest in 0 s", id="now"),
    ],
)
def test_soon_text(at: float | None, text: str) -> None:
    assert soon_text(at, 100.0) == text
