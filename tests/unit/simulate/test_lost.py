"""A rule that can evaluate none of its events is listed in the table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from retrainer.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: bad
    triggers: {d: {data: {source: push, rows: event.data.missing, batch: {at_least: {rows: 10}}}}}
    submit: {workflow_template: train}
  - name: good
    triggers: {d: {data: {source: push}}}
    submit: {workflow_template: train}
"""


def test_a_rule_whose_rows_cannot_be_read_says_how_many_events_it_lost(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    events = [{"source": "push", "type": "t", "time": 1767225600 + n, "data": {"n": n}} for n in range(3)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    asked = ["-o", "json", "--events", str(tmp_path / "events.jsonl"), "--rules", str(tmp_path / "rules.yaml")]
    result = CliRunner().invoke(main, ["simulate", *asked])
    assert result.exit_code == 0, result.output
    rules = {one["rule"]: one["proposed"] for one in json.loads(result.stdout)["rules"]}
    assert rules["bad"]["runs"] == 0
    assert rules["bad"]["held"] == {"dead_letter": 3}
    assert rules["good"]["runs"] == 1
