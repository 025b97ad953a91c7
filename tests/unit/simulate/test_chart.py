"""`retrainer simulate --html`: one offline page with the events and the decisions."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from retrainer.cli.main import main
from retrainer.simulate.traces import thinned

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "</script><script>alert(1)</script>"
RULES = """\
version: 1
sources:
  push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}
rules:
  - name: churn
    triggers:
      new: {data: {source: push, match: {kind: data}, batch: {at_least: {events: 2}}}}
      drift: {metric: {source: push, match: {metric: psi}, above: 0.2, clear: 0.1, jitter: 0s}}
    limits: {cooldown: {period: 90m}}
    submit: {workflow_template: train}
"""


def files(folder: Path) -> list[str]:
    (folder / "old.yaml").write_text(RULES)
    (folder / "new.yaml").write_text(RULES.replace("above: 0.2", "above: 0.4").replace("90m", "1m"))
    lines = [{"source": "push", "time": f"2026-03-02T{h:02}:00:00Z", "data": {"kind": "data"}} for h in range(12)]
    value = {"metric": "psi", "value": 0.3, "labels": {"pod": EVIL}}
    lines.insert(7, {"source": "push", "time": "2026-03-02T06:30:00Z", "data": value})
    (folder / "events.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return [
        *("simulate", "--events", str(folder / "events.jsonl"), "--run-duration", "30m"),
        *("--current", str(folder / "old.yaml"), "--rules", str(folder / "new.yaml")),
        *("--html", str(folder / "out.html")),
    ]


def traces(page: str) -> dict[str, Any]:
    """The drawn traces by name, as the page passes them to plotly."""
    found = re.search(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*(\[.*?\]),\s*\{\"template", page, re.DOTALL)
    assert found is not None
    return {one.get("name", "bars"): one for one in json.loads(found[1])}


def test_a_page_shows_what_came_and_what_followed(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, files(tmp_path))
    assert told.exit_code == 0, told.output
    page = (tmp_path / "out.html").read_text()
    drawn = traces(page)
    assert sum(drawn["events"]["y"]) == 12
    assert {"proposed: enters above 0.4", "proposed: clears at 0.1", "current: enters above 0.2"} <= drawn.keys()
    assert len(drawn["proposed: started"]["x"]) == 6
    assert "new, batch_complete: new: 2 events" in drawn["proposed: started"]["text"][0]
    assert any("hold" in text and "cooldown" in text for text in drawn["current: held or skipped"]["text"])


def test_a_page_needs_no_network_and_runs_nothing_that_came_in(tmp_path: Path) -> None:
    CliRunner().invoke(main, files(tmp_path))
    page = (tmp_path / "out.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=", page)
    assert EVIL not in page


def test_without_the_library_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.cli.simulate.find_spec", lambda _: None)
    told = CliRunner().invoke(main, files(tmp_path))
    assert told.exit_code == 1
    assert "pip install plotly" in told.stderr


@pytest.mark.parametrize("length", [1, 100, 101, 43_200])
def test_a_long_line_keeps_its_ends_and_its_gaps(length: int) -> None:
    pick = random.Random(length)
    line = [(float(i), None if 500 <= i < 900 else pick.random()) for i in range(length)]
    drawn = thinned(line, 100)
    assert len(drawn) <= 102
    assert drawn == sorted(drawn)
    values = [value for _, value in line if value is not None]
    assert {min(values), max(values)} <= {value for _, value in drawn}
    if length > 10_000:
        assert any(value is None for _, value in thinned(line))
