"""Rule files of teams: what they may contain, and which version is used while they cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config.document import beginning
from retrainer.config.errors import ConfigErrors
from retrainer.config.load import Loaded, load_rules, load_settings
from retrainer.config.teams import NO_TEAMS, TeamFiles, team_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from retrainer.config.settings import Settings

PLATFORM = """
version: 1
sources:
  lake: {type: webhook, path: /hooks/lake}
templates:
  far: {rule: {submit: {workflow_template: x, namespace: team-b}}}
rules:
  - {name: own, triggers: {t: {schedule: {cron: '@daily'}}}, submit: {workflow_template: x, namespace: team-b}}
"""
FILE = team_file("team-a", "churn", "rules.yaml")
ARGO = "engine: {type: argo, namespaces: [ml, team-a, team-b]}\n"


def team_rule(submit: str = "workflow_template: x", *, trigger: str = "schedule: {cron: '@daily'}") -> str:
    return f"version: 1\nrules:\n  - {{name: churn, triggers: {{t: {{{trigger}}}}}, submit: {{{submit}}}}}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "rules.yaml").write_text(PLATFORM)
    (tmp_path / "retrainer.yaml").write_text(f"version: 1\nrules: [rules.yaml]\n{ARGO}")
    return load_settings(str(tmp_path / "retrainer.yaml"))


def load(settings: Settings, *texts: str, good: Mapping[str, str] | None = None) -> Loaded:
    files = {team_file("team-a", f"churn-{i}", "rules.yaml"): text for i, text in enumerate(texts)}
    return load_rules(settings, last_good=good, teams=TeamFiles(files))


def namespaces(loaded: Loaded) -> dict[str, str | None]:
    return {rule.name: rule.submit.namespace for rule in loaded.configuration.rules}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(team_rule(), id="as it comes"),
        pytest.param(team_rule("workflow_template: x, namespace: team-a"), id="said again"),
        pytest.param(team_rule(trigger="data: {source: lake}"), id="with a source of the platform"),
    ],
)
def test_a_rule_of_a_team_runs_in_its_namespace(settings: Settings, text: str) -> None:
    loaded = load(settings, text)
    assert loaded.problems == ()
    assert namespaces(loaded) == {"own": "team-b", "churn": "team-a"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            team_rule("workflow_template: x, namespace: team-b"), "runs there, not in `team-b`", id="elsewhere"
        ),
        pytest.param(
            "version: 1\nrules: [{name: churn, template: far, triggers: {t: {schedule: {cron: '@daily'}}}}]\n",
            "runs there, not in `team-b`",
            id="elsewhere, by a template of the platform",
        ),
        pytest.param(
            "version: 1\ndefaults: {submit: {namespace: ml}}\n" + team_rule().removeprefix("version: 1\n"),
            "runs there, not in `ml`",
            id="elsewhere, by its defaults",
        ),
        pytest.param(
            "version: 1\nsources: {mine: {type: directory, path: /etc}}\nrules: []\n",
            "must not define sources",
            id="sources",
        ),
    ],
)
def test_what_a_team_may_not_do_is_refused_and_leaves_others_alone(settings: Settings, text: str, words: str) -> None:
    loaded = load(settings, text)
    (problem,) = loaded.problems
    assert words in problem.message
    assert problem.file.startswith("configmap:team-a/")
    assert problem.hint
    assert namespaces(loaded) == {"own": "team-b"}
    assert set(loaded.configuration.sources) == {"lake"}


def test_a_newcomer_does_not_push_out_a_rule_of_another(settings: Settings) -> None:
    before = load(settings, team_rule())
    after = load(settings, team_rule("workflow_template: y"), team_rule(), good=before.files)
    assert len(after.problems) == 1
    assert len(namespaces(after)) == 2


def test_while_a_namespace_cannot_be_read_its_last_good_rules_stay(settings: Settings) -> None:
    before = load_rules(settings, teams=TeamFiles({FILE: team_rule()}))
    unread = TeamFiles(problems=(beginning(team_file("team-a")).problem("", "the server is away"),))
    after = load_rules(settings, last_good=before.files, teams=unread)
    assert namespaces(after) == {"own": "team-b", "churn": "team-a"}
    assert [problem.message for problem in after.problems] == ["the server is away"]


def test_a_rule_goes_with_its_config_map(settings: Settings) -> None:
    before = load_rules(settings, teams=TeamFiles({FILE: team_rule()}))
    after = load_rules(settings, last_good=before.files, teams=NO_TEAMS)
    assert namespaces(after) == {"own": "team-b"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            f"{ARGO}config_maps: {{namespaces: [team-x]}}\n", "not among the engine's namespaces", id="unknown"
        ),
        pytest.param(
            "engine: {type: local, templates: t, runs: r}\nconfig_maps: {namespaces: [a]}\n",
            "this one is local",
            id="local",
        ),
    ],
)
def test_settings_name_namespaces_that_rules_can_run_in(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "retrainer.yaml").write_text(f"version: 1\n{text}")
    with pytest.raises(ConfigErrors, match=words):
        load_settings(str(tmp_path / "retrainer.yaml"))
