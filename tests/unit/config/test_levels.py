# ruff: noqa: E501 - a table with one case a line
"""Metrics, alerts, ages, chains, when, unless and limits: each mistake is reported once, at its position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config.load import validate

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
version: 1
sources:
  prometheus: {type: prometheus, url: "http://prometheus:9090", polling_interval: 30s}
  alerts: {type: alertmanager, path: /hooks/alerts}
  push: {type: webhook, path: /hooks/push}
calendars: {office: {weekdays: [mon]}}
budgets: {growth: {gpu_hours: 400, per: 30d}}
rules:
  - name: features
    triggers: {daily: {schedule: {cron: "@daily"}}}
    submit: {workflow_template: features}
  - name: churn
    triggers:
      drift: {metric: {source: prometheus, expr: psi, above: 0.2, clear: 0.1, for: 30m, at_least: {series: 3}}}
      p: {metric: {source: push, match: {metric: ks}, below: 0.05, clear: 0.1}}
      page: {alert: {source: alerts, match: {alertname: Drift}}}
      stale: {freshness: {max_age: 14d}}
      rebuilt: {after: {rule: features, where: upstream.outputs.rows > 10}}
      incident: {alert: {source: alerts, match: {alertname: Broken}}}
    when: {any: [page, stale, rebuilt, {all: [drift, p], within: 24h}]}
    unless: [incident]
    limits: {budget: {runs: 3, gpu_hours: 40, per: 24h, reserve: 6}, mute: [office], cooldown: {period: 6h}}
    cost: {gpu_hours: outputs.hours}
    feedback: {promoted: outputs.promoted, backoff: {factor: 2}}
    submit: {workflow_template: churn-train}
"""


def said(tmp_path: Path, text: str) -> list[str]:
    """The problems without file, line and column."""
    file = tmp_path / "rules.yaml"
    file.write_text(text)
    return [str(problem).split(": ", 1)[1] for problem in validate(str(file))[1]]


def test_the_good_one_is_good(tmp_path: Path) -> None:
    assert said(tmp_path, GOOD) == []


T = "rules[1].triggers"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("clear: 0.1, for", "clear: 0.3, for", f"{T}.drift.metric.clear: on the wrong side: above `above: 0.2` (write at most 0.2)", id="clear above a high threshold"),
        pytest.param("below: 0.05, clear: 0.1", "below: 0.05, clear: 0.01", f"{T}.p.metric.clear: on the wrong side: below `below: 0.05` (write at least 0.05)", id="clear below a low threshold"),
        pytest.param("above: 0.2, clear: 0.1, ", "", f"{T}.drift.metric: exactly one of above, below is required, none is given (add such as `above: 0.2` (true above it, for a distance) or `below: 0.05` (true below it, for a p-value))", id="no threshold"),
        pytest.param("above: 0.2, clear", "above: 0.2, below: 0.1, clear", f"{T}.drift.metric: exactly one of above, below is required, not both (keep `above` for a distance, `below` for a p-value)", id="two thresholds"),
        pytest.param("for: 30m", "for: 10s", f"{T}.drift.metric.for: shorter than its source's polling_interval of 30s, so it cannot be met (write at least 30s, or poll more often)", id="for shorter than the polling interval"),
        pytest.param("for: 30m", "max_sample_age: 10s", f"{T}.drift.metric.max_sample_age: shorter than its source's polling_interval of 30s, so it cannot be met (write at least 30s, or poll more often)", id="an age shorter than the polling interval"),
        pytest.param("at_least: {series: 3}", "at_least: {series: 3, percent: 50}", f"{T}.drift.metric.at_least: exactly one of series, percent is required, not both (keep one)", id="series and percent"),
        pytest.param("at_least: {series: 3}", "at_least: {series: 3, of: 40}", f"{T}.drift.metric.at_least.of: `of` goes with `percent` (remove it)", id="of without percent"),
        pytest.param("expr: psi, ", "", f"{T}.drift.metric: the query is missing (add `expr:`, in PromQL)", id="no query"),
        pytest.param("match: {metric: ks}", "expr: ks", f"{T}.p.metric.expr: `expr` is for a source of type prometheus; `push` is a webhook (write `match: {{metric: NAME}}` in place of it, or name a source of type prometheus: `source: prometheus`)", id="a query of a webhook"),
        pytest.param("expr: psi", "expr: psi, value: event.data.x", f"{T}.drift.metric.value: `value` is for pushed values; a query returns its own (remove it)", id="a value of a query"),
        pytest.param("match: {metric: ks}", "match: {event.nope: ks}", f"{T}.p.metric.match.event.nope: an event has no `nope` (known here: attributes, data, id, source, subject, time, type)", id="a match of a field that no event has"),
        pytest.param("match: {metric: ks}", "match: {event: ks}", f"{T}.p.metric.match.event: `event` is not a field (write `size`, `object.key` or `event.type`)", id="a match of no field"),
        pytest.param("match: {metric: ks}", "value: evnt.data.x", f"{T}.p.metric.value: unknown name `evnt` in an expression (did you mean `event`?)", id="a value by a name that does not exist"),
        pytest.param("{source: push", "{source: alerts", f"{T}.p.metric.source: alerts have no values (write `alert: {{source: alerts, match: {{alertname: NAME}}}}` in place of `metric:`)", id="a metric of alerts"),
        pytest.param("{source: prometheus, expr", "{source: prometeus, expr", f"{T}.drift.metric.source: unknown source `prometeus` (did you mean `prometheus`?)", id="an unknown source of a metric"),
        pytest.param("page: {alert: {source: alerts", "page: {alert: {source: push", f"{T}.page.alert.source: `push` is a webhook, which has no alerts (write `source: alerts`)", id="an alert of a webhook"),
        pytest.param("max_age: 14d", "max_age: 0s", f"{T}.stale.freshness.max_age: must be longer than 0s (write such as 14d)", id="no age"),
        pytest.param("max_age: 14d", "max_age: 14d, min_retry_interval: 0s", f"{T}.stale.freshness.min_retry_interval: must be longer than 0s (write such as 1h)", id="again at once"),
        pytest.param("after: {rule: features, ", "after: {rule: feature, ", f"{T}.rebuilt.after.rule: unknown rule `feature` (did you mean `features`?)", id="after no rule"),
        pytest.param("upstream.outputs.rows > 10", "upstrem.outputs.rows > 10", f"{T}.rebuilt.after.where: unknown name `upstrem` in an expression (did you mean `upstream`?)", id="where over a name that does not exist"),
        pytest.param("rule: features, where", "rule: churn, where", f"{T}.rebuilt.after.rule: the rule `churn` cannot come after itself (name another rule, or remove the trigger `rebuilt`)", id="after itself"),
        pytest.param('{daily: {schedule: {cron: "@daily"}}}', "{daily: {after: {rule: churn}}}", "rules[0].triggers.daily.after.rule: a cycle: features after churn after features (remove the `after` trigger of features or churn)\nrules[1].triggers.rebuilt.after.rule: a cycle: churn after features after churn (remove the `after` trigger of churn or features)", id="a circle of two"),
        pytest.param("any: [page", "any: [pag", "rules[1].when.any[0]: there is no trigger `pag` (did you mean `page`?)\nrules[1].triggers.page: `when` does not name `page`, so it does nothing (add `page` to `when`, or remove the trigger `page`)", id="a trigger that does not exist"),
        pytest.param("any: [page, ", "any: [", f"{T}.page: `when` does not name `page`, so it does nothing (add `page` to `when`, or remove the trigger `page`)", id="a trigger that nobody asks for"),
        pytest.param("{all: [drift, p], ", "{all: [drift], any: [p], ", "rules[1].when.any[3]: exactly one of any, all, at_least is required, not any and all (write {any: [p, {all: [drift], within: 1d}]} or {all: [drift, {any: [p]}], within: 1d})", id="any and all in one group"),
        pytest.param("{all: [drift, p], ", "{at_least: {n: 3, of: [drift, p]}, ", "rules[1].when.any[3].at_least.n: 3 of 2 is impossible (write at most 2)", id="more than there are"),
        pytest.param("any: [page", "any: [incident, page", "rules[1].when.any[0]: `incident` is in `unless` already (keep one)", id="in when and in unless"),
        pytest.param("unless: [incident]", "unless: [incident, inciden]", "rules[1].unless[1]: there is no trigger `inciden` (did you mean `incident`?)", id="unless a trigger that does not exist"),
        pytest.param("any: [page, stale, rebuilt, {all: [drift, p], within: 24h}]", f"any: [page, stale, rebuilt, drift, {'{any: [' * 8}p{']}' * 8}]", f"rules[1].when{'.any[4]' + '.any[0]' * 7}: groups nested deeper than 8 (write `{{any: [{{any: [a]}}, b]}}` as `{{any: [a, b]}}`; the same for `all`)", id="nested too deep"),
        pytest.param("{runs: 3, gpu_hours: 40, per: 24h, reserve: 6}", "{per: 24h}", "rules[1].limits.budget: the budget has no limit (write such as {runs: 10, per: 1d} or {gpu_hours: 400, per: 1d})", id="the budget has no limit"),
        pytest.param("gpu_hours: 40, per: 24h, reserve: 6", "gpu_hours: 4, per: 24h, reserve: 6", "rules[1].limits.budget.reserve: more than the 4 GPU hours of the budget, so no run could ever start (write at most 4, or raise `gpu_hours` to at least 6)", id="a reserve beyond the budget"),
        pytest.param("gpu_hours: 40, per: 24h, reserve: 6", "per: 24h, reserve: 6", "rules[1].limits.budget.reserve: the budget has no GPU hours to reserve (add such as `gpu_hours: 400`, or remove `reserve: 6`)", id="a reserve of nothing"),
        pytest.param("per: 24h, reserve", "per: 0s, reserve", "rules[1].limits.budget.per: must be longer than 0s (write such as 24h or 30d)", id="a budget for no time"),
        pytest.param("{runs: 3, gpu_hours: 40, per: 24h, reserve: 6}", "growh", "rules[1].limits.budget: unknown budget `growh` (did you mean `growth`?)", id="an unknown budget"),
        pytest.param("gpu_hours: 400, per: 30d", "per: 30d", "budgets.growth: the budget has no limit (write such as {runs: 10, per: 30d} or {gpu_hours: 400, per: 30d})", id="a shared budget of nothing"),
        pytest.param("mute: [office]", "mute: [ofice]", "rules[1].limits.mute[0]: unknown calendar `ofice` (did you mean `office`?)", id="an unknown calendar"),
        pytest.param(", cooldown: {period: 6h}", "", "rules[1].feedback.backoff: the rule has no cooldown (add `cooldown: 6h` under the `limits` of the rule)", id="nothing to stretch"),
        pytest.param("outputs.hours", "output.hours", "rules[1].cost.gpu_hours: unknown name `output` in an expression (did you mean `outputs`?)", id="a cost over a name that does not exist"),
        pytest.param("promoted: outputs.promoted", "promoted: \"'yes'\"", "rules[1].feedback.promoted: it is always 'yes', not true or false (compare something, such as `event.data.size > 0`)", id="promoted is never boolean"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_at_its_place_with_the_way_out(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert GOOD.count(old) == 1, "the case changes one thing"
    assert sorted(said(tmp_path, GOOD.replace(old, new))) == sorted(expected.split("\n"))


def test_what_holds_back_must_last(tmp_path: Path) -> None:
    text = GOOD.replace("unless: [incident]", "unless: [incident, rebuilt]").replace("stale, rebuilt", "stale")
    assert said(tmp_path, text) == [
        "rules[1].unless[1]: `rebuilt` cannot be used in `unless`: only metric, alert and freshness triggers can (remove `rebuilt` and its trigger; or name it in `when`, if it is to start runs)"
    ]


def test_a_rule_that_nothing_can_start(tmp_path: Path) -> None:
    text = GOOD.partition("  - name: churn")[0] + (
        "  - name: churn\n    triggers: {page: {alert: {source: alerts}}}\n    unless: [page]\n"
        "    submit: {workflow_template: x}\n"
    )
    assert said(tmp_path, text) == ["rules[1].unless: no trigger remains that could start a run (remove one)"]


def test_a_chain_has_at_most_eight_links(tmp_path: Path) -> None:
    rules = [
        f"  - {{name: r{i}, triggers: {{t: {{after: {{rule: r{i - 1}}}}}}}, submit: {{workflow_template: x}}}}"
        for i in range(1, 9)
    ]
    first = '  - {name: r0, triggers: {t: {schedule: {cron: "@daily"}}}, submit: {workflow_template: x}}'
    whole = "\n".join(["version: 1", "rules:", first, *rules, ""])
    (only,) = said(tmp_path, whole)
    assert only.startswith(
        "rules[8].triggers.t.after.rule: a chain of 9 rules, at most 8 are allowed: r8 after r7 after"
    )
    assert said(tmp_path, whole.replace(rules[-1] + "\n", "")) == []
