# ruff: noqa: E501 - a table with one case a line
from pathlib import Path

import pytest

from retrainer.config.configuration import Configuration
from retrainer.config.load import validate

HEAD = """\
version: 1
defaults: {labels: {team: growth}, limits: {overlap: skip, priority: 3}, submit: {namespace: ml, timeout: 8h}}
templates:
  nightly:
    parameters: [model, hour, jitter]
    rule:
      triggers: {nightly: {schedule: {cron: "0 ${{ hour }} * * *", jitter: "${{ jitter }}"}}}
      labels: {model: "${{ model }}"}
      limits: {priority: 5}
      submit: {workflow_template: "${{ model }}-train"}
rules:
"""


def check(tmp_path: Path, text: str) -> tuple[Configuration | None, list[str]]:
    file = tmp_path / "r.yaml"
    file.write_text(text)
    configuration, problems = validate(str(file))
    return configuration, [str(problem).replace(f"{tmp_path}/", "") for problem in problems]


def test_three_hundred_models_are_three_hundred_lines(tmp_path: Path) -> None:
    lines = [
        f"  - {{name: m{i}, template: nightly, with: {{model: m{i}, hour: 2, jitter: 10m}}}}\n" for i in range(300)
    ]
    configuration, problems = check(tmp_path, HEAD + "".join(lines))
    assert not problems
    assert configuration
    assert len(configuration.rules) == 300
    rule = next(rule for rule in configuration.rules if rule.name == "m7")
    schedule = rule.triggers["nightly"].schedule
    assert schedule
    assert (schedule.cron, schedule.jitter, rule.submit.workflow_template) == ("0 2 * * *", 600, "m7-train")
    assert configuration.positions["rules.m7"].endswith(f"r.yaml:{HEAD.count(chr(10)) + 8}:5")


def test_the_rule_wins_then_the_template_then_the_defaults(tmp_path: Path) -> None:
    use = "  - {name: a, template: nightly, with: {model: a, hour: 1, jitter: 1m}, labels: {team: core}, submit: {timeout: 1h}}\n"
    configuration, problems = check(tmp_path, HEAD + use)
    assert not problems
    assert configuration
    (rule,) = configuration.rules
    assert rule.labels == {"team": "core", "model": "a"}
    assert (rule.limits.overlap, rule.limits.priority) == ("skip", 5)
    assert (rule.submit.namespace, rule.submit.timeout, rule.submit.workflow_template) == ("ml", 3600, "a-train")


def test_null_takes_a_default_back(tmp_path: Path) -> None:
    use = "  - {name: a, template: nightly, with: {model: a, hour: 1, jitter: 1m}, limits: {overlap: null}}\n"
    configuration, problems = check(tmp_path, HEAD + use)
    assert not problems
    assert configuration
    assert configuration.rules[0].limits.overlap == "buffer_one"


def test_templates_serve_all_files_and_defaults_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + "  - {name: a, template: nightly, with: {model: a, hour: 1, jitter: 1m}}\n")
    (tmp_path / "b.yaml").write_text(
        "version: 1\nrules:\n  - {name: b, template: nightly, with: {model: b, hour: 1, jitter: 1m}}\n"
    )
    configuration, problems = validate(str(tmp_path))
    assert not problems
    assert configuration
    assert [rule.submit.namespace for rule in configuration.rules] == ["ml", None]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("template: nightly", "template: nightli", ["r.yaml:12:26: rules[0].template: unknown template `nightli` (did you mean `nightly`?)", "r.yaml:13:26: rules[1].template: unknown template `nightli`"], id="unknown template"),
        pytest.param("hour: 2", "hour: 25", ["r.yaml:7:45: rules[0].triggers.nightly.schedule.cron: bad hour '25'"], id="in a text: the template's line, once"),
        pytest.param("jitter: 10m", "jitter: 10", ["r.yaml:12:70: rules[0].triggers.nightly.schedule.jitter: not a duration", "r.yaml:13:70: rules[1].triggers.nightly.schedule.jitter: not a duration"], id="whole: the value in each with"),
        pytest.param("hour: 2, ", "", ["r.yaml:12:41: rules[0].with: the template's parameter `hour` is not given (add `hour: VALUE` to `with`)", "r.yaml:13:41: rules[1].with: "], id="parameter not given"),
        pytest.param("hour: 2", "hours: 2, hour: 2", ["r.yaml:12:53: rules[0].with.hours: the template has no parameter `hours` (did you mean `hour`?)", "r.yaml:13:53"], id="parameter too many"),
        pytest.param("hour: 2", "hour: [2]", ["r.yaml:12:59: rules[0].with.hour: a text, a number, or true or false is needed", "r.yaml:13:59"], id="list amid text"),
        pytest.param("[model, hour, jitter]", "[model, hour]", ["r.yaml:7:76: templates.nightly.rule.triggers.nightly.schedule.jitter: `jitter` is not among the template's parameters"], id="hole that is no parameter"),
        pytest.param("labels: {model:", "lables: {model:", ["r.yaml:8:7: rules[0].lables: unknown field `lables` (did you mean `labels`?)"], id="unknown field in a template"),
        pytest.param("timeout: 8h}}", "timeout: 8}}", ["r.yaml:2:107: rules[0].submit.timeout: not a duration"], id="in the defaults"),
        pytest.param("defaults: {labels", "defaults: {lables", ["r.yaml:2:12: defaults.lables: `lables` cannot be a default (did you mean `labels`?)"], id="unknown default"),
        pytest.param("template: nightly, with", "with", ["r.yaml:12:16: rules[0].with: `with` without a `template` (name the template)", "r.yaml:13:16"], id="with, but no template"),
        pytest.param("    rule:", "    rul:", ["r.yaml:5:5: templates.nightly.rule: `rule` is missing or not a map", "r.yaml:6:5: templates.nightly.rul: unknown field `rul` (did you mean `rule`?)"], id="template without a rule"),
    ],
)  # fmt: skip
def test_errors_point_to_where_it_was_written(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    uses = "".join(
        f"  - {{name: m{i}, template: nightly, with: {{model: m{i}, hour: 2, jitter: 10m}}}}\n" for i in range(2)
    )
    text = HEAD + uses
    assert old in text
    found = check(tmp_path, text.replace(old, new))[1]
    missing = [start for start in expected if not any(problem.startswith(start) for problem in found)]
    assert not missing, found
    unexpected = [
        problem
        for problem in found
        if not any(problem.startswith(start.split(": ")[0].rpartition(":")[0]) for start in expected)
    ]
    assert not unexpected


def test_two_templates_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD.replace("rules:\n", ""))
    (tmp_path / "b.yaml").write_text(HEAD.replace("rules:\n", ""))
    assert [(p.file, p.line) for p in validate(str(tmp_path))[1]] == [(str(tmp_path / "b.yaml"), 5)]
