# ruff: noqa: E501, Q003 - a table with one case a line
"""Invalid configurations: each mistake is reported once, at its position, with a correction."""

import re
from pathlib import Path

import pytest

from retrainer.config.errors import ConfigErrors
from retrainer.config.load import validate
from tests.unit.config.mistakes import ROOT

GOOD = """\
version: 1
sources:
  lake: {type: directory, path: landing, polling_interval: 30s, rows: lines}
  push: {type: webhook, path: /hooks/push}
pools: {gpu: 4}
calendars:
  year_end: {dates: [2026-12-24/2027-01-02]}
rules:
  - name: churn
    triggers:
      nightly:
        schedule: {cron: "30 2 * * mon-fri", timezone: Europe/Berlin, except: [year_end]}
      new_data:
        data:
          source: lake
          match: {bucket: features, key: "churn/**"}
          where: "event.data.size > 1024"
          rows: event.data.rows
          batch: {at_least: {rows: 20}, max_wait: 7d, debounce: 10m}
    for_each: {by: {new_data: event.data.bucket}}
    limits: {overlap: skip, pool: gpu, cooldown: {period: 6h, from: fired}}
    submit:
      workflow_template: churn-train
      parameters: {since: "${window.start}", n: 3}
      retry: {limit: 2}
"""


def said(tmp_path: Path, text: str) -> list[str]:
    """The problems without the folder."""
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in validate(str(file))[1]]


def test_the_good_one_is_good(tmp_path: Path) -> None:
    assert said(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    "parameter",
    [
        pytest.param("${[{'x': 1}].map(window, window.x)}", id="a macro's own variable"),
        pytest.param("${'window.x'} and {window.x}", id="texts"),
        pytest.param("${window.start.getFullYear()} ${ {'a': 1}.a}", id="functions and maps"),
        pytest.param("$5 ${previous.outputs.auc}", id="outputs have any name"),
    ],
)
def test_what_only_looks_wrong_is_taken(tmp_path: Path, parameter: str) -> None:
    assert said(tmp_path, GOOD.replace("${window.start}", parameter)) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("version: 1", "version: 2", "1:10: version: this release does not support that version (write `version: 1`)", id="version"),
        pytest.param("pools:", "pool:", "5:1: pool: unknown field `pool` (did you mean `pools`?)", id="unknown section"),
        pytest.param("overlap: skip", "overlapp: skip", "21:14: rules[0].limits.overlapp: unknown field `overlapp` (did you mean `overlap`?)", id="unknown field"),
        pytest.param("overlap: skip", "overlap: skp", "21:23: rules[0].limits.overlap: 'skp' is not one of the choices (did you mean `skip`?)", id="unknown choice"),
        pytest.param("schedule:", "shedule:", "12:9: rules[0].triggers.nightly.shedule: unknown field `shedule` (did you mean `schedule`?)", id="unknown kind of trigger"),
        pytest.param("cron: \"30 2 * * mon-fri\", ", "", "12:19: rules[0].triggers.nightly.schedule.cron: `cron` is missing (add `cron: \"30 2 * * *\"`)", id="missing field"),
        pytest.param("{period: 6h,", "{period: 6,", "rules[0].limits.cooldown.period: not a duration (write 6s, 6m, 6h or 6d)", id="duration without a unit"),
        pytest.param("rows: 20", "rows: true", "at_least.rows: expected a whole number, not true (write a whole number, such as 100)", id="a boolean for a number"),
        pytest.param("n: 3", "n: [3]", "parameters.n: expected text, a number or true or false, not a list", id="a list for a scalar"),
        pytest.param("name: churn", "name: Churn", "9:11: rules[0].name: 'Churn' is not allowed here (write `churn`: use lower-case letters, digits and `-`", id="bad name"),
        pytest.param("pools: {gpu: 4}", "pools: {gpu: -1}", "pools.gpu: -1 is too small (write at least 0)", id="a number below its bound"),
        pytest.param("pools: {gpu: 4}", "pools: {gpu: 1.5}", "pools.gpu: expected a whole number, not 1.5 (write 2)", id="half a place"),
        pytest.param("rows: event.data.rows", "rows: event.data.key", "rows: it gives a text, not a number (write `double(event.data.key)`, or a field", id="a text for a number"),
        pytest.param("where: \"event.data.size > 1024\"", "where: ''", "where: it is empty (write a text, or remove the line)", id="an empty text"),
        pytest.param("name: churn", "name: " + "c" * 64, "9:11: rules[0].name: 64 characters, at most 63 are allowed (remove 1)", id="name over the limit"),
        pytest.param("name: churn\n", "name: churn\n    labels: {a: 1}\n", 'rules[0].labels.a: expected text, not 1 (quote it: "1")', id="number for a text"),
        pytest.param("type: webhook", "type: webhok", "4:9: sources.push: unknown type 'webhok' (did you mean `webhook`?)", id="unknown type of source"),
        pytest.param("timezone: Europe/Berlin", "timezone: Europe/Berln", "12:56: rules[0].triggers.nightly.schedule.timezone: unknown timezone 'Europe/Berln' (did you mean Europe/Berlin", id="unknown timezone"),
        pytest.param("30 2 * * mon-fri", "0 0 30 2 *", "12:26: rules[0].triggers.nightly.schedule.cron: cron '0 0 30 2 *' never fires, as February never has a day 30 (write a day of at most 29", id="cron that never fires"),
        pytest.param("30 2 * * mon-fri", "30 25 * * *", "12:26: rules[0].triggers.nightly.schedule.cron: bad hour '25'", id="cron that does not parse"),
        pytest.param("except: [year_end]", "except: [yearend]", "rules[0].triggers.nightly.schedule.except[0]: unknown calendar `yearend` (did you mean `year_end`?)", id="unknown calendar"),
        pytest.param("source: lake", "source: lakee", "15:19: rules[0].triggers.new_data.data.source: unknown source `lakee` (did you mean `lake`?)", id="unknown source"),
        pytest.param("pool: gpu", "pool: gpus", "21:35: rules[0].limits.pool: unknown pool `gpus` (did you mean `gpu`?)", id="unknown pool"),
        pytest.param("size > 1024", "size >", "17:36: rules[0].triggers.new_data.data.where: not a CEL expression: it ends too early", id="CEL that does not compile"),
        pytest.param('"event.data.size > 1024"', "\"'yes'\"", "17:19: rules[0].triggers.new_data.data.where: it is always 'yes', not true or false", id="CEL that is never boolean"),
        pytest.param("event.data.size > 1024", "evnt.data.size > 1024", "17:19: rules[0].triggers.new_data.data.where: unknown name `evnt` in an expression (did you mean `event`?)", id="CEL over an unknown name"),
        pytest.param("event.data.size > 1024", "event.x.all(a, a.all(b, b.all(c, c)))", "at most 2 of all, exists,", id="CEL nested too deep"),
        pytest.param("size > 1024", "size > 1024" + " || true" * 300, "rules[0].triggers.new_data.data.where: 24", id="CEL too long"),
        pytest.param("${window.start}", "to ${window.start +}", "24:47: rules[0].submit.parameters.since: not a CEL expression: it ends too early", id="parameter that does not compile"),
        pytest.param("${window.start}", "${key} ${windw.start}", "24:37: rules[0].submit.parameters.since: unknown name `windw`", id="parameter over an unknown name"),
        pytest.param("${window.start}", "${key} ${window.strat}", "24:44: rules[0].submit.parameters.since: `window` has no `strat` (did you mean `start`?)", id="parameter over an unknown field"),
        pytest.param("event.data.size > 1024", "event.dat.size > 1024", "17:25: rules[0].triggers.new_data.data.where: `event` has no `dat` (did you mean `data`?)", id="field that no event has"),
        pytest.param("event.data.size > 1024", "(" * 200 + "true" + ")" * 200, "where: nested deeper than 32 levels", id="CEL with too many brackets"),
        pytest.param("${window.start}", "${window.start", "24:30: rules[0].submit.parameters.since: `${` is not closed by `}`", id="hole left open"),
        pytest.param("since: ", "the day: ", "24:20: rules[0].submit.parameters.the day: 'the day' is not a valid parameter name (letters, digits, - and _)", id="parameter that Argo does not know"),
        pytest.param("${window.start}", "a\\0b", "rules[0].submit.parameters.since: a parameter must not contain a NUL (remove it)", id="parameter with a NUL"),
        pytest.param("${window.start}", "x" * 140_000, "rules[0].submit.parameters.since: 140000 bytes; all parameters together may have at most 131072 (pass a reference instead)", id="parameter that is too long"),
        pytest.param("workflow_template: churn-train", "workflow_template: Churn train", "rules[0].submit.workflow_template: 'Churn train' is not a valid template name (lower-case letters, digits, - and ., as in Kubernetes: did you mean `churn-train`?)", id="template of no name"),
        pytest.param("      retry:", "      namespace: Team A\n      retry:", "rules[0].submit.namespace: 'Team A' is not a valid namespace (lower-case letters, digits and -, at most 63)", id="namespace that is none"),
        pytest.param("      retry:", "      timeout: 0s\n      retry:", "rules[0].submit.timeout: less than 1s (write at least 1s)", id="no time at all"),
        pytest.param("      retry:", f"      metadata: {{annotations: {{a: {'y' * 210_000}}}}}\n      retry:", "rules[0].submit.metadata.annotations: more than 200 KiB together", id="annotations beyond what Kubernetes takes"),
        pytest.param("path: /hooks/push", "path: /hooks/push, id: \"''\"", "sources.push.id: it is always an empty string, which is not allowed", id="id that is always empty"),
        pytest.param("path: /hooks/push", "path: /hooks/push, token: []", "sources.push.token: ", id="no token among those that count"),
        pytest.param("${window.start}", "x ${1 / 0}", "24:32: rules[0].submit.parameters.since: `1 / 0`: division by zero (it is the same for each run; correct it)", id="parameter that no run can have"),
        pytest.param("${window.start}", "${'{' + '{x'}", "24:30: rules[0].submit.parameters.since: a value must not contain `{{`: Argo would expand it (it is the same for each run; correct it)", id="Argo's braces put together"),
        pytest.param("${window.start}", "a {{x}}", "24:30: rules[0].submit.parameters.since: a parameter must not contain `{{`: Argo would expand it", id="Argo's braces"),
        pytest.param('"${window.start}", n', "${window.start}, n", 'must be quoted (write "${window.start}")', id="unquoted hole in a flow map"),
        pytest.param("by: {new_data:", "by: {newdata:", "20:21: rules[0].for_each.by.newdata: there is no trigger `newdata` (did you mean `new_data`?)", id="for_each of no trigger"),
        pytest.param("by: {new_data:", "by: {nightly: event.data.x, new_data:", "20:21: rules[0].for_each.by.nightly: `nightly` is not a data, metric or alert trigger: it applies to every key", id="for_each of a schedule"),
        pytest.param("{new_data: event.data.bucket}", "{}", "rules[0].for_each.by: the data trigger `new_data` has no key (add `new_data: event.data.bucket`; fields of this source: bucket, key,", id="for_each without a key"),
        pytest.param("debounce: 10m", "debounce: 8d", "debounce: 8d is longer than `max_wait: 7d`, so it would have no effect", id="debounce over max_wait"),
        pytest.param("debounce: 10m", "debounce: 10s", "debounce: shorter than its source's polling_interval of 30s", id="window shorter than the polling interval"),
        pytest.param("          rows: event.data.rows\n", "", "at_least.rows: the field with the number of rows is not given (add `rows: event.data.rows`", id="rows that nobody counts"),
        pytest.param("          rows: event.data.rows\n", "          rows: event.data.rows\n          distinct_by: evnt.data.key\n", "new_data.data.distinct_by: unknown name `evnt` in an expression (did you mean `event`?)", id="a thing by a name that does not exist"),
        pytest.param("{rows: 20}", "{}", "batch.at_least: no size is given", id="at_least of nothing"),
        pytest.param("{bucket:", "{event.sorce:", "16:19: rules[0].triggers.new_data.data.match.event.sorce: an event has no `sorce` (did you mean `source`?)", id="match of no field"),
        pytest.param("workflow_template: churn-train", "namespace: ml", "rules[0].submit: exactly one of workflow_template, cluster_workflow_template, workflow is required, none is given", id="nothing to run"),
        pytest.param("workflow_template: churn-train", "workflow: {kind: Workflow}", "23:17: rules[0].submit.workflow: the inline manifest has no `spec`", id="inline manifest without a spec"),
        pytest.param("retry:", "metadata: {labels: {workflows.argoproj.io/x: y}}\n      retry:", "`workflows.argoproj.io/` is reserved", id="Argo's labels"),
        pytest.param("retry:", "metadata: {annotations: {retrainer.dev/run: y}}\n      retry:", "`retrainer.dev/` is reserved", id="our annotations"),
        pytest.param("retry:", "metadata: {labels: {team: a b}}\n      retry:", "'a b' is not a valid label value", id="label that Kubernetes refuses"),
        pytest.param("2026-12-24/2027-01-02", "2026-13-01", "7:22: calendars.year_end.dates[0]: bad date '2026-13-01', there is no month 13 (", id="bad date"),
        pytest.param("path: /hooks/push", "path: /push", "sources.push.path: '/push' is not allowed here (write `/hooks/push`: begin with /hooks/", id="webhook outside /hooks/"),
        pytest.param("path: /hooks/push}", "path: /hooks/push}\n  pull: {type: webhook, path: /hooks/push}", "5:31: sources.pull.path: the source `push` listens on /hooks/push already", id="two webhooks on one path"),
        pytest.param("path: /hooks/push", "path: /hooks/push, token: {from_env: NO_SUCH_VARIABLE}", "4:51: sources.push.token: the environment variable NO_SUCH_VARIABLE is not set (set it where retrainer runs; here set it too, or validate with --ignore-environment)", id="missing secret"),
        pytest.param("path: /hooks/push", "path: /hooks/push, token: s3cr3t", "sources.push.token: a secret is a reference, never the secret itself (write {from_env: NAME}", id="secret written out"),
        pytest.param("path: /hooks/push", "path: /hooks/push, format: s3, id: data.x", "sources.push.id: `id` is for `format: json`", id="id of a format that has its own"),
        pytest.param("retry: {limit: 2}", "retry: {limit: 2}\n  - {name: churn, triggers: {t: {schedule: {cron: '@daily'}}}, submit: {workflow_template: x}}", "26:12: rules[1]: rule `churn` is defined already, in rules.yaml:9:5 (rename", id="duplicate rule"),
        pytest.param("    for_each:", "    labels: {on: x}\n    for_each:", "`on` is text to some readers of YAML and true to others", id="on as a key"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_once_at_its_place_with_the_way_out(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert old in GOOD
    found = said(tmp_path, GOOD.replace(old, new, 1))
    assert len(found) == 1, found
    assert expected in found[0]
    assert re.match(r"rules\.yaml:\d+:\d+: ", found[0])
    assert found[0].endswith(")"), "the way out is missing"


TEN = """\
version: 1
sources:
  lake: {type: directory, path: landing}
rules:
  - name: churn
    mode: activ
    triggers:
      nightly:
        schedule: {cron: "0 0 30 2 *", timezone: Europe/Berln}
      new_data:
        data:
          source: lakee
          where: "event.data.size >"
          match: {size: 017}
    limits: {overlapp: skip}
    submit:
      parameters: {since: "{{ a }}"}
      timeout: 8
"""


def test_ten_mistakes_give_ten_errors_each_with_its_place_and_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "ten.yaml"
    file.write_text(TEN)
    configuration, problems = validate(str(file))
    assert configuration is None
    assert [(problem.line, problem.column, problem.path.rpartition(".")[2]) for problem in problems] == [
        (6, 11, "mode"),
        (9, 26, "cron"),
        (9, 50, "timezone"),
        (12, 19, "source"),
        (13, 36, "where"),
        (14, 25, "size"),
        (15, 14, "overlapp"),
        (17, 7, "submit"),
        (17, 28, "since"),
        (18, 16, "timeout"),
    ]
    assert all(problem.file == str(file) and problem.message and problem.hint for problem in problems)


def test_an_error_shows_its_line_with_a_caret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rules.yaml").write_text(GOOD.replace("size > 1024", "size >"))
    _, problems = validate("rules.yaml")
    printed = str(ConfigErrors(problems))
    assert printed == (
        "rules.yaml:17:36: rules[0].triggers.new_data.data.where: not a CEL expression: it ends too early\n"
        '   17 |           where: "event.data.size >"\n'
        "      |                                    ^\n"
        "      = write a value behind `>`"
    )
    page = (ROOT / "docs/reference/configuration-errors.md").read_text()
    assert f"```\n{printed.replace('rules.yaml', 'rules/churn.yaml')}\n```" in page, "the example that opens the page"


def test_as_json(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(GOOD.replace("pool: gpu", "pool: gpus"))
    assert [problem.as_json() for problem in validate(str(file))[1]] == [
        {
            "file": str(file),
            "line": 21,
            "column": 35,
            "path": "rules[0].limits.pool",
            "message": "unknown pool `gpus`",
            "hint": "did you mean `gpu`?",
            "kind": "reference",
        }
    ]


def test_a_secret_written_out_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(GOOD.replace("path: /hooks/push", "path: /hooks/push, token: s3cr3t"))
    assert "s3cr3t" not in str(ConfigErrors(validate(str(file))[1]))


def test_rows_of_a_source_that_counts_none(tmp_path: Path) -> None:
    (only,) = said(tmp_path, GOOD.replace(", rows: lines}", "}"))
    assert "new_data.data.rows: it has no `rows` (add `rows: lines` to the source" in only
