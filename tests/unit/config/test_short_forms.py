"""A short form means the same as its long form, in a rule, in `defaults` and in a template."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsonschema
import pytest

from retrainer.config.load import validate
from retrainer.config.schema import rules_schema
from retrainer.config.tree import plain
from retrainer.config.yaml import read
from tests.unit.config.mistakes import GOOD

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.configuration import Configuration

FORMS = [
    ('schedule: {cron: "@daily"}', 'schedule: "@daily"'),
    ("except: [year_end]", "except: year_end"),
    ("freshness: {max_age: 14d}", "freshness: 14d"),
    ("after: {rule: sales, outcome: succeeded}", "after: sales"),
    ("unless: [incident]", "unless: incident"),
    ("cooldown: {period: 6h}", "cooldown: 6h"),
    ("mute: [year_end]", "mute: year_end"),
    ("submit: {workflow_template: basket-train}", "submit: basket-train"),
    ("timeout: 8h\n      retry: {limit: 3}", "timeout: 8h\n      retry: 3"),
    ("cost: {gpu_hours: outputs.hours}", "cost: outputs.hours"),
    ("{dates: [2026-12-24/2027-01-02]}", "[2026-12-24/2027-01-02]"),
    ("topics: [orders]", "topics: orders"),
    ('bootstrap_servers: ["kafka:9092"]', 'bootstrap_servers: "kafka:9092"'),
]


@pytest.mark.parametrize(("long", "short"), [pytest.param(*form, id=form[1].split("\n")[-1].strip()) for form in FORMS])
def test_a_short_form_means_what_its_long_form_means(tmp_path: Path, long: str, short: str) -> None:
    written = GOOD.replace("timeout: 8h", long) if "timeout" in long else GOOD
    assert written.count(long) == 1
    found = [_configuration(tmp_path, text) for text in (written, written.replace(long, short))]
    assert found[0] == found[1]


@pytest.mark.parametrize("short", [form[1] for form in FORMS])
def test_the_schema_for_editors_allows_it(short: str) -> None:
    long = next(form[0] for form in FORMS if form[1] == short)
    text = (GOOD.replace("timeout: 8h", long) if "timeout" in long else GOOD).replace(long, short)
    jsonschema.validate(_plain(text), rules_schema())


def test_when_takes_one_trigger(tmp_path: Path) -> None:
    rule = "  - {name: a, triggers: {t: {freshness: 1d}}, submit: x, when: WHEN}\n"
    texts = [f"version: 1\nrules:\n{rule.replace('WHEN', when)}" for when in ("{any: [t]}", "t")]
    assert _configuration(tmp_path, texts[0]) == _configuration(tmp_path, texts[1])


def test_a_short_form_over_a_long_default_keeps_the_other_fields_of_the_default(tmp_path: Path) -> None:
    text = (
        "version: 1\n"
        "defaults: {limits: {cooldown: {period: 1d, from: fired}}, submit: train}\n"
        "rules:\n"
        "  - {name: a, triggers: {t: {schedule: '@daily'}}, limits: {cooldown: 6h}}\n"
    )
    (rule,) = _configuration(tmp_path, text).rules
    assert rule.limits.cooldown is not None
    assert (rule.limits.cooldown.period, rule.limits.cooldown.from_) == (6 * 3600, "fired")
    assert rule.submit.workflow_template == "train"


def test_a_placeholder_of_a_template_may_be_filled_with_either_form(tmp_path: Path) -> None:
    text = (
        "version: 1\n"
        "templates: {t: {parameters: [pause], rule: {triggers: {t: {freshness: 1d}}, submit: train, "
        'limits: {cooldown: "${{ pause }}"}}}}\n'
        "rules:\n"
        "  - {name: a, template: t, with: {pause: 6h}}\n"
        "  - {name: b, template: t, with: {pause: {period: 6h}}}\n"
    )
    a, b = _configuration(tmp_path, text).rules
    assert a.limits == b.limits


def _configuration(folder: Path, text: str) -> Configuration:
    (folder / "rules.yaml").write_text(text)
    configuration, problems = validate(str(folder))
    assert [str(problem) for problem in problems] == []
    assert configuration is not None
    return configuration


def _plain(text: str) -> object:
    root, problems = read(text, "rules.yaml")
    assert root is not None
    assert not problems
    return plain(root)
