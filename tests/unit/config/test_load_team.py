"""Validation of a team's files before they are in the cluster: the problems and their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config.load_team import validate_team

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.errors import Problem

PLATFORM = """version: 1
sources:
  lake: {type: webhook, path: /hooks/lake, hmac: [{from_file: /nowhere/secret}]}
rules:
  - {name: own, triggers: {t: {schedule: {cron: '@daily'}}}, submit: {workflow_template: x}}
"""
RULE = "version: 1\nrules:\n  - {name: churn, triggers: {t: {data: {source: lake}}}, submit: {workflow_template: x}}\n"
ARGO = "engine: {type: argo, namespaces: [ml, team-a]}\nhttp: {token: {from_file: /nowhere/token}}\n"


def manifest(*texts: str, namespace: str = "team-a", label: str = "retrainer.dev/rules") -> str:
    """A ConfigMap as the second document of a file, with one key for each text."""
    lines = ["apiVersion: v1", "kind: Namespace", "metadata: {name: team-a}", "---", "apiVersion: v1"]
    lines += [
        "kind: ConfigMap",
        f"metadata: {{name: churn, namespace: {namespace}, labels: {{{label}: main}}}}",
        "data:",
    ]
    for i, text in enumerate(texts):
        lines += [f"  rules-{i}.yaml: |", *(f"    {line}" for line in text.splitlines())]
    return "\n".join(lines) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "platform.yaml").write_text(PLATFORM)
    (tmp_path / "team").mkdir()
    return tmp_path


def check(folder: Path, text: str, platform: str | None = "platform") -> tuple[Problem, ...]:
    (folder / "team" / "churn.yaml").write_text(text)
    theirs = str(folder / platform) if platform is not None else None
    return validate_team(str(folder / "team"), "team-a", theirs)[1]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(RULE, id="a rule file"),
        pytest.param(manifest(RULE), id="a manifest"),
        pytest.param(manifest(RULE, RULE.replace("churn", "other")), id="a manifest with two rule files"),
    ],
)
def test_good_rules_of_a_team(folder: Path, text: str) -> None:
    """The platform's source is known, although its secret is not available here."""
    assert check(folder, text) == ()
    configuration, _ = validate_team(str(folder / "team"), "team-a", str(folder / "platform"))
    assert configuration is not None
    assert {rule.submit.namespace for rule in configuration.rules} == {"team-a"}
    assert "own" not in {rule.name for rule in configuration.rules}


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        pytest.param(RULE.replace("lake", "lak"), (3, 49), "unknown source `lak`", id="a name that nobody defines"),
        pytest.param(manifest(RULE.replace("lake", "lak")), (12, 53), "unknown source `lak`", id="in a manifest"),
        pytest.param(RULE.replace("x}", "x, namespace: ml}"), (3, 5), "runs there, not in `ml`", id="elsewhere"),
        pytest.param(
            "version: 1\nsources: {mine: {type: directory, path: /etc}}\n",
            (2, 1),
            "must not define sources",
            id="a source",
        ),
        pytest.param(
            RULE.replace("churn", "own"), (3, 12), "platform.yaml:5:5", id="the name of a rule of the platform"
        ),
        pytest.param(manifest(RULE, namespace="team-b"), (6, 1), "of namespace `team-b`", id="another's manifest"),
        pytest.param(manifest(RULE, label="app"), None, "there is no rule file", id="a manifest without the label"),
    ],
)
def test_what_is_wrong_and_where(folder: Path, text: str, place: tuple[int, int] | None, words: str) -> None:
    (problem,) = check(folder, text)
    assert words in problem.message
    assert "configmap:" not in str(problem)
    assert problem.hint
    if place is not None:
        assert (problem.file, problem.line, problem.column) == (str(folder / "team" / "churn.yaml"), *place)


def test_a_rule_file_in_another_notation_is_named_by_its_key(folder: Path) -> None:
    text = RULE.replace("lake", "lak").replace("\n", "\\n")
    (problem,) = check(folder, manifest("x").replace("|\n    x", f'"{text}"'))
    assert problem.file.endswith("churn.yaml[rules-0.yaml]")
    assert (problem.line, problem.column) == (3, 49)


def test_without_the_platform_its_names_are_unknown(folder: Path) -> None:
    (problem,) = check(folder, RULE, None)
    assert problem.kind == "reference"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param("config_maps: {namespaces: [team-a]}\n", [], id="a team of this instance"),
        pytest.param("config_maps: {namespaces: [ml]}\n", ["`team-a` is not among them"], id="not a team's namespace"),
        pytest.param("", ["`team-a` is not among them"], id="there are no teams"),
    ],
)
def test_the_platforms_settings_say_whose_rules_are_read(folder: Path, settings: str, words: list[str]) -> None:
    text = f"version: 1\nrules: [platform.yaml]\n{ARGO}{settings}"
    (folder / "platform" / "retrainer.yaml").write_text(text)
    problems = check(folder, RULE)
    assert [problem.message.partition(",")[0] for problem in problems] == words
