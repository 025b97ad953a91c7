"""Labels and parameters are texts: their value is the text in the file, not its interpretation by YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config.load import load_files

if TYPE_CHECKING:
    from pathlib import Path

FILE = """version: 1
sources:
  am: {{type: alertmanager, path: /hooks/am}}
  prom: {{type: prometheus, url: "http://127.0.0.1:9"}}
  push: {{type: webhook, path: /hooks/push}}
templates:
  page:
    parameters: [value]
    rule:
      triggers: {{a: {{alert: {{source: am, match: {{x: "${{{{ value }}}}"}}}}}}}}
      submit: {{workflow_template: t}}
rules:
  - name: all
    triggers:
      alert: {{alert: {{source: am, match: {{x: {0}}}}}}}
      metric: {{metric: {{source: prom, expr: up, match: {{x: {0}}}, above: 1}}}}
      pushed: {{metric: {{source: push, match: {{labels.x: {0}, x: {0}}}, above: 1}}}}
      data:
        data:
          source: push
          match: {{event.attributes.x: {0}, labels.a.b: {0}, x: {0}}}
          ignore_own_outputs: {{labels.x: {0}}}
    submit: {{workflow_template: t, parameters: {{p: {0}}}}}
  - name: made
    template: page
    with: {{value: {0}}}
"""


@pytest.mark.parametrize(
    ("written", "as_text", "as_data"),
    [
        ("true", True, True),
        ("True", "True", True),
        ("FALSE", "FALSE", False),
        ("5", 5, 5),
        ("+5", "+5", 5),
        ("0x1F", "0x1F", 31),
        ("0.5", 0.5, 0.5),
        (".5", ".5", 0.5),
        ("1.10", "1.10", 1.1),
        ("0.00001", 0.00001, 0.00001),
        ("12345678901234567.25", "12345678901234567.25", 12345678901234567.25),
        ('"1.10"', "1.10", "1.10"),
        ("v1.10", "v1.10", "v1.10"),
    ],
)
def test_where_texts_are_compared_it_stays_as_it_was_written(
    tmp_path: Path, written: str, as_text: object, as_data: object
) -> None:
    """A number or boolean whose text is unchanged stays one, so that existing rules keep their meaning."""
    (tmp_path / "r.yaml").write_text(FILE.format(written))
    configuration, problems = load_files([str(tmp_path)])
    assert [str(problem) for problem in problems] == []
    made, rule = sorted(configuration.rules, key=lambda rule: rule.name, reverse=True)
    assert made.triggers["a"].alert is not None
    assert made.triggers["a"].alert.match == {"x": as_text}
    alert, metric, pushed, data = (rule.triggers[name] for name in ("alert", "metric", "pushed", "data"))
    assert alert.alert is not None
    assert metric.metric is not None
    assert pushed.metric is not None
    assert data.data is not None
    assert alert.alert.match == metric.metric.match == {"x": as_text}
    assert pushed.metric.match == {"labels.x": as_text, "x": as_data}
    assert data.data.match == {"event.attributes.x": as_text, "labels.a.b": as_text, "x": as_data}
    assert data.data.ignore_own_outputs == {"labels.x": as_text}
    assert rule.submit.parameters == {"p": as_text}
