"""`retrainer test`, as authors of rules use it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from retrainer.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
version: 1
sources:
  push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}
  prom: {type: prometheus, url: "http://127.0.0.1:1", polling_interval: 1m}
  alerts: {type: alertmanager, path: /hooks/alerts, token: {from_env: NOT_SET_ANYWHERE}}
rules:
  - name: churn
    triggers:
      drift: {metric: {source: prom, expr: psi, above: 0.2, clear: 0.1, for: 30m, jitter: 0s, max_sample_age: 1h}}
      page: {alert: {source: alerts, match: {model: churn}}}
      pushed: {metric: {source: push, match: {metric: loss}, below: 0.5, consecutive: 2, jitter: 0s}}
      nightly: {schedule: {cron: "0 3 * * *"}}
    limits: {cooldown: {period: 1h}}
    feedback: {promoted: outputs.promoted}
    submit:
      workflow_template: train
      parameters: {why: "${trigger.reason}", note: "none"}
      outputs: {promoted: {parameter: is-better, type: boolean}}
  - name: report
    triggers: {trained: {after: {rule: churn, outcome: promoted}}}
    submit: {workflow_template: report}
"""


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rules.yaml").write_text(RULES)

    def write(self, inputs: str, expect: str, more: str = "", name: str = "it") -> None:
        head = f"version: 1\nrules: [rules.yaml]\ntests:\n  - name: {name}\n{more}"
        text = f"{head}    inputs: {inputs}\n    expect: {expect}\n"
        (self.folder / "rules_test.yaml").write_text(text)

    def run(self, *args: str, code: int = 0) -> Result:
        result = CliRunner().invoke(main, ["test", str(self.folder), *args])
        assert result.exit_code == code, (result.output, result.exception)
        return result

    def told(self, *args: str, code: int = 0) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.run("-o", "json", *args, code=code).stdout)
        return told


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


PASSES = [
    pytest.param(
        "[{at: 0s, metric: {source: prom, expr: psi, values: 0x10 0.3x40}}]",
        "[{at: 39m, runs: [], decisions: [{rule: churn, decision: hold, reason: for_pending, until: 40m}]},"
        " {at: 1h, runs: [{rule: churn, at: 40m, trigger: drift, reason: threshold, parameters: {why: threshold}}]}]",
        id="a metric that stays crossed for long enough",
    ),
    pytest.param(
        "[{at: 0s, metric: {source: prom, expr: psi, values: 0.3x10 errorx20}}]",
        "[{at: 29m, runs: [], decisions: [{rule: churn, reason: no_data}]}]",
        id="a query that fails is no data",
    ),
    pytest.param(
        "[{at: 0s, metric: {source: prom, expr: psi, values: 0.3x40, age: 2h}}]",
        "[{at: 1h, runs: [], decisions: [{rule: churn, reason: no_data}]}]",
        id="samples that are too old",
    ),
    pytest.param(
        "[{at: 0s, every: 30m, metric: {source: push, metric: loss, values: 0.4 _ 0.6 0.4 0.4}}]",
        "[{at: 1h59m, runs: []}, {at: 2h, runs: [{rule: churn, trigger: pushed}]}]",
        id="pushed values, of which one is missing",
    ),
    pytest.param(
        "[{at: 1m, alert: {source: alerts, labels: {alertname: Drift, model: churn}}},"
        " {at: 2m, end: {rule: churn}},"
        " {at: 3m, alert: {source: alerts, labels: {alertname: Drift, model: churn}, status: resolved}},"
        " {at: 4m, alert: {source: alerts, labels: {alertname: Drift, model: churn}}}]",
        "[{at: 1m, runs: [{rule: churn, reason: alert}]},"
        " {at: 4m, runs: [], decisions: [{rule: churn, reason: cooldown, until: 1h2m}]},"
        " {at: 2h, runs: [{rule: churn, at: 1h2m, trigger: page}]}]",
        id="an alert that fires, is resolved, and fires again during the cooldown",
    ),
    pytest.param(
        "[{at: 1m, pause: churn}, {at: 4h, resume: churn}]",
        "[{at: 3h59m, runs: [], decisions: [{rule: churn, decision: hold, reason: paused}]},"
        " {at: 4h, runs: [{rule: churn, trigger: nightly, reason: schedule}]}]",
        id="a pause",
    ),
    pytest.param(
        '[{at: 1m, trigger: {rule: churn, parameters: {note: "mine"}}},'
        " {at: 20m, end: {rule: churn, outputs: {promoted: true}}}]",
        "[{at: 1m, runs: [{rule: churn, reason: manual, parameters: {note: mine}}]},"
        " {at: 20m, runs: [{rule: report, trigger: trained, reason: upstream}]}]",
        id="a run by hand, its end, and who follows it",
    ),
    pytest.param(
        "[{at: 1m, trigger: {rule: churn}}, {at: 20m, end: {rule: churn}},"
        " {at: 1h, judge: {rule: churn, promoted: true}}]",
        "[{at: 59m, rule: report, runs: []}, {at: 1h, rule: report, runs: [{rule: report}]}]",
        id="promoted later on",
    ),
]


@pytest.mark.parametrize(("inputs", "expect"), PASSES)
def test_what_is_so_passes(files: Files, inputs: str, expect: str) -> None:
    files.write(inputs, expect)
    assert "1 passed, 0 failed" in files.run().stdout


def test_runs_go_as_the_test_says(files: Files) -> None:
    goes = "    runs: [{rule: churn, lasts: 30m, phase: SUCCEEDED, outputs: {promoted: true}}]\n"
    files.write("[{at: 1m, trigger: {rule: churn}}]", "[{at: 1h, rule: report, runs: [{rule: report, at: 31m}]}]", goes)
    files.run()


def test_a_failure_shows_both_and_the_decisions_between(files: Files) -> None:
    files.write(
        "[{at: 0s, metric: {source: prom, expr: psi, values: 0x10 0.3x40}}]",
        "[{at: 1h, runs: [{rule: churn, at: 41m, reason: threshold}]}]",
    )
    printed = files.run(code=1).stdout
    assert "FAILED" in printed
    assert "- at: 2026-03-02 00:41:00Z (+41m)  rule: churn  reason: threshold" in printed
    assert "+ at: 2026-03-02 00:40:00Z (+40m)  rule: churn  reason: threshold" in printed
    assert "hold below_threshold: drift: 0 against > 0.2  (10 times)" in printed
    (test,) = files.told(code=1)["tests"]
    assert (test["passed"], test["line"], len(test["failures"])) == (False, 4, 1)


FAILS = [
    pytest.param("[]", "[{at: 1h, runs: [{rule: churn}]}]", "1 run expected by now, no runs started", id="too few"),
    pytest.param(
        "[{at: 1m, trigger: {rule: churn}}]", "[{at: 1h, runs: []}]", "no runs expected by now", id="too many"
    ),
    pytest.param("[]", "[{at: 1h, decisions: [{rule: churn}]}]", "nothing was decided for churn yet", id="no decision"),
    pytest.param("[{at: 1m, end: {rule: churn}}]", "[{at: 1h, runs: []}]", "no run of churn is active", id="no run"),
    pytest.param(
        "[{at: 1m, trigger: {rule: churn}}]",
        "[{at: 1h, decisions: [{rule: churn, decision: fire, reason: schedule}]}]",
        "the last decision differs",
        id="another reason",
    ),
]


@pytest.mark.parametrize(("inputs", "expect", "message"), FAILS)
def test_what_is_not_so_fails(files: Files, inputs: str, expect: str, message: str) -> None:
    files.write(inputs, expect)
    assert message in files.run(code=1).stdout


def test_junit_tells_what_failed(files: Files, tmp_path: Path) -> None:
    files.write("[]", "[{at: 1h, runs: [{rule: churn}]}]", name="one & only")
    files.run("--junit", str(tmp_path / "out.xml"), code=1)
    root = ET.parse(tmp_path / "out.xml").getroot()
    (case,) = root.iter("testcase")
    (failure,) = case.iter("failure")
    assert (case.get("name"), root[0].get("failures")) == ("one & only", "1")
    assert "1 run expected by now" in (failure.get("message") or "")
    (files.folder / "rules_test.yaml").write_text("version: 2")
    files.run("--junit", str(tmp_path / "out.xml"), code=2)
    assert len(list(ET.parse(tmp_path / "out.xml").getroot().iter("error"))) == 1


def test_filter_takes_some(files: Files) -> None:
    files.write("[]", "[{at: 1h, runs: []}]", name="quiet night")
    assert [t["name"] for t in files.told("--filter", "night")["tests"]] == ["quiet night"]
    assert "no test has 'day' in its name" in files.run("--filter", "day", code=2).stdout


WRONG = [
    pytest.param("[{at: 1m, event: {source: psh}}]", "[{at: 1h, runs: []}]", "did you mean `push`?", id="source"),
    pytest.param("[{at: 1m, pause: chrun}]", "[{at: 1h, runs: []}]", "did you mean `churn`?", id="rule"),
    pytest.param("[{at: soon, pause: churn}]", "[{at: 1h, runs: []}]", "'soon' is not a time", id="moment"),
    pytest.param("[{at: 1m}]", "[{at: 1h, runs: []}]", "exactly one kind, none is given", id="no thing"),
    pytest.param("[{at: 1m, pause: churn, resume: churn}]", "[{at: 1h, runs: []}]", "not pause and resume", id="two"),
    pytest.param("[]", "[{at: 1h}]", "nothing is expected", id="nothing expected"),
    pytest.param("[]", "[{at: 1h, runs: [{rule: churn, reason: drfit}]}]", "there is no reason `drfit`", id="reason"),
    pytest.param("[]", "[{at: 1h, runs: [{rule: churn, key: de}]}]", "churn has no key (for_each)", id="key"),
    pytest.param("[]", "[{at: 2020-01-01T00:00:00Z, runs: []}]", "before the start", id="before the start"),
    pytest.param(
        "[{at: 1m, metric: {source: prom, expr: pis, values: 1x3}}]",
        "[{at: 1h, runs: []}]",
        "did you mean `psi`?",
        id="query",
    ),
    pytest.param(
        "[{at: 1m, metric: {source: push, values: 1x3}}]", "[{at: 1h, runs: []}]", "add `every: 1m`", id="how far apart"
    ),
    pytest.param(
        "[{at: 1m, metric: {source: prom, expr: psi, values: 1x}}]",
        "[{at: 1h, runs: []}]",
        "`1x` is not a value",
        id="values",
    ),
    pytest.param(
        "[{at: 1m, end: {rule: churn, outputs: {auc: 1}}}]",
        "[{at: 1h, runs: []}]",
        "churn has no output `auc`",
        id="output",
    ),
]


@pytest.mark.parametrize(("inputs", "expect", "message"), WRONG)
def test_a_file_that_is_wrong_says_where(files: Files, inputs: str, expect: str, message: str) -> None:
    files.write(inputs, expect)
    printed = files.run(code=2).stdout
    assert message in printed
    assert "rules_test.yaml:" in printed
    (problem, *_) = files.told(code=2)["problems"]
    assert problem["line"] in (5, 6)


def test_rules_that_are_wrong_are_told_as_validate_does(files: Files) -> None:
    files.write("[]", "[{at: 1h, runs: []}]")
    (files.folder / "rules.yaml").write_text(RULES.replace("above:", "abov:"))
    assert "rules.yaml:9:" in files.run(code=2).stdout


def test_no_tests(files: Files) -> None:
    assert "no tests: name a file" in files.run(code=2).stdout


def test_files_of_tests_are_no_rules(files: Files) -> None:
    files.write("[]", "[{at: 1h, runs: []}]")
    result = CliRunner().invoke(main, ["validate", str(files.folder)], env={"NOT_SET_ANYWHERE": "x" * 20})
    assert (result.exit_code, result.stdout.strip()) == (0, f"{files.folder} is valid: 2 rules")


def test_the_schema_of_tests(files: Files) -> None:
    result = CliRunner().invoke(main, ["schema", "tests"])
    assert json.loads(result.stdout)["title"] == "retrainer rule tests"
