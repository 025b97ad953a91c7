"""Every mistake in docs/reference/configuration-errors.md gives the message that the page shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from retrainer.config.load import validate
from tests.unit.config.mistake import Mistake
from tests.unit.config.mistakes import GOOD, ROOT, TABLES, problems_of, said, tables

if TYPE_CHECKING:
    from pathlib import Path

EVERY = [pytest.param(one, id=f"{table}: {one.name}") for table, found in TABLES.items() for one in found]
NO_FIELD = re.compile(
    r"^\S+:\d+:\d+: (not YAML|not UTF-8|the file|a second|there is no such file|this is a|a `\$|a text that|a tab)"
)


def test_the_good_file_is_good(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(GOOD)
    assert [str(problem) for problem in validate(str(tmp_path))[1]] == []


@pytest.mark.parametrize("mistake", EVERY)
def test_a_mistake_is_said_once_with_its_place_its_field_and_the_way_out(mistake: Mistake) -> None:
    assert not mistake.old or GOOD.count(mistake.old) == 1, "the case changes one thing"
    (only,) = said(mistake)
    assert re.match(r"[\w.]+:\d+:\d+: ", only), "no place"
    assert NO_FIELD.match(only) or re.match(r"[\w.]+:\d+:\d+: [\w.\[\]/-]+: ", only), "no field"
    assert only.endswith(")"), "no way out"


def test_the_page_shows_what_is_said() -> None:
    page = (ROOT / "docs/reference/configuration-errors.md").read_text()
    shown = "".join(line + "\n" for line in page.splitlines() if line.startswith("|"))
    assert shown == tables(), "put what `python -m tests.unit.config.mistakes` prints into the page"


def test_a_source_in_place_of_its_name_keeps_its_secret() -> None:
    (problem,) = problems_of(
        GOOD.replace("source: lake\n", "source: {type: webhook, path: /in, token: abc}\n"), "rules.yaml"
    )
    assert '`NAME: {type: webhook, path: "/in", …}`' in problem.hint
    assert "abc" not in problem.hint


@pytest.mark.parametrize(
    ("trigger", "by"),
    [
        pytest.param(
            "metric: {source: push, match: {metric: ks}, below: 0.05}", "event.data.FIELD", id="pushed values"
        ),
        pytest.param("alert: {source: alerts, match: {alertname: A}}", "event.data.labels.LABEL", id="an alert"),
        pytest.param("data: {source: lake, batch: {at_least: {events: 1}}}", "event.data.FIELD", id="data"),
    ],
)
def test_a_key_is_in_the_labels_only_where_there_are_labels(trigger: str, by: str) -> None:
    submit = '{workflow_template: c, parameters: {p: "${key}"}}'
    rule = f"  - {{name: c, triggers: {{t: {{{trigger}}}}}, submit: {submit}}}\n"
    (problem,) = problems_of(GOOD + rule, "rules.yaml")
    assert f"add `for_each: {{by: {{t: {by}}}}}`" in problem.hint


NO = "`no` is text to some readers of YAML and false to others"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param('cron: "30 2 * * mon-fri"', "cron: no", id="a field that is needed"),
        pytest.param("token: {from_env: HOME}", "token: {from_env: no}", id="one of several kinds"),
        pytest.param("topics: [orders]", "topics: [no]", id="the only one of a list"),
        pytest.param("topics: [orders]", "topics: [no, orders]", id="one of a list"),
        pytest.param("any: [page, stale", "any: [page, no, stale", id="a list whose places are counted"),
        pytest.param("rules:\n", "rules:\n  - no\n", id="a rule among rules"),
        pytest.param("- name: basket", "- name: no", id="a rule's name"),
        pytest.param("with: {model: sales}", "with: {model: no}", id="what fills a template"),
        pytest.param("template: nightly, with", "template: no, with", id="a template's name"),
        pytest.param("parameters: [model]", "parameters: [no]", id="a template's parameters"),
        pytest.param("above: 0.2", "above: no", id="one of two that are needed"),
        pytest.param("{gpu_hours: 400, per: 30d}", "{gpu_hours: no, per: 30d}", id="what a budget has"),
        pytest.param("{new_data: event.data.bucket}", "{new_data: no}", id="a key by which others are checked"),
        pytest.param("pools: {gpu: 4}", "pools: {gpu: no}", id="what others refer to"),
        pytest.param("pools: {gpu: 4}", "pools: no", id="a section that others refer to"),
        pytest.param("labels: {team: growth}", "labels: no", id="a map"),
        pytest.param("version: 1", "version: no", id="the version"),
    ],
)
def test_what_could_not_be_read_is_not_told_to_be_missing(old: str, new: str) -> None:
    assert GOOD.count(old) == 1
    (only,) = said(Mistake("", old, new))
    assert NO in only


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "rules:\n", "sources: {more: {type: webhook, path: /hooks/more}}\nrules:\n", "`sources`", id="maps"
        ),
        pytest.param(
            "  - name: basket",
            "rules:\n  - name: basket",
            "`rules` is written twice here, first in line 17",
            id="lists",
        ),
    ],
)
def test_of_a_section_that_stands_twice_both_are_looked_at(old: str, new: str, expected: str) -> None:
    (only,) = said(Mistake("", old, new))
    assert expected in only


def test_a_rule_that_is_broken_is_there_for_those_that_come_after_it() -> None:
    told = said(Mistake("", "with: {model: sales}", "with: {}"))
    assert [one.split(": ", 2)[1] for one in told] == ["rules[0].with"]
