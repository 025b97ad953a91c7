"""The text of rules, and what a text would do, on a real daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.load import load_files
from retrainer.simulate.load_cases import load_cases
from retrainer.simulate.story import play
from retrainer.store import rule_texts
from tests.houses.daemon_in_process import SETTINGS, DaemonInProcess, template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
  other: {type: webhook, path: /hooks/other}
defaults: {submit: {workflow_template: train}}
templates:
  nightly: {parameters: [hour], rule: {triggers: {n: {schedule: {cron: "0 ${{ hour }} * * *"}}}}}
rules:
  # Who will leave?
  # Ask anna.
  - name: churn
    triggers:
      d: {data: {source: push}}  # all of it
#    limits: {cooldown: 1d}
    limits: {pool: gpus}

  # Fraud.
  - name: fraud
    triggers: {d: {data: {source: other}}}
  -
    template: nightly
    with: {hour: 3}
    name: night
pools: {gpus: 1}
"""
TEMPLATE = template("train", "echo", "trained")
TESTS = """version: 1
rules: [rules.yaml]
tests:
  - name: it waits
    expect: [{at: 1h, rule: churn, runs: []}]
  - name: another
    expect: [{at: 1h, rule: night, runs: []}]
"""
CHURN = """  # Who will leave?
  # Ask anna.
  - name: churn
    triggers:
      d: {data: {source: push}}  # all of it
#    limits: {cooldown: 1d}
    limits: {pool: gpus}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    made = DaemonInProcess(tmp_path, RULES, TEMPLATE)
    yield made
    made.close()


def source(house: DaemonInProcess, rule: str, **query: str) -> dict[str, Any]:
    answer = house.http.get(f"/api/v1/rules/{rule}/source", params=query)
    answer.raise_for_status()
    return dict(answer.json())


def check(house: DaemonInProcess, text: str, **more: str) -> dict[str, Any]:
    answer = house.http.post("/api/v1/validate", json={"text": text, **more})
    answer.raise_for_status()
    return dict(answer.json())


def edit(house: DaemonInProcess, old: str, new: str) -> None:
    file = house.folder / "rules/rules.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    house.http.post("/-/reload").raise_for_status()


def test_the_text_of_a_rule_is_that_of_its_file_with_its_comments(house: DaemonInProcess) -> None:
    found = source(house, "churn")
    assert found["text"] == CHURN
    assert found["line"] == RULES.split("\n").index("  # Who will leave?") + 1
    assert found["file"].endswith("rules/rules.yaml")
    assert (found["in_force"], found["problems"]) == (True, [])
    assert found["inherits"] == ["`defaults` of the file, from line 6 on"]
    assert source(house, "fraud")["text"].startswith("  # Fraud.\n  - name: fraud\n")


def test_a_rule_of_a_template_names_it(house: DaemonInProcess) -> None:
    assert "template `nightly`, at" in source(house, "night")["inherits"][1]


def test_the_text_of_an_earlier_revision_is_kept_and_others_are_said_not_to_be(house: DaemonInProcess) -> None:
    first = source(house, "churn")
    edit(house, "source: push}}  # all of it", "source: push, match: {kind: a}}}")
    now = source(house, "churn")
    assert now["revision"] != first["revision"]
    assert [(one["revision"], one["in_force"]) for one in now["revisions"]] == [
        (now["revision"], True),
        (first["revision"], False),
    ]
    before = source(house, "churn", revision=first["revision"])
    assert (before["text"], before["in_force"]) == (CHURN, False)
    unknown = house.http.get("/api/v1/rules/churn/source?revision=0123456789ab")
    assert unknown.status_code == 404
    assert "is not kept" in unknown.json()["detail"]


def test_the_texts_of_a_rule_that_is_gone_are_dropped(house: DaemonInProcess) -> None:
    edit(house, "name: fraud", "name: deceit")
    assert len(source(house, "deceit")["revisions"]) == 1
    edit(house, "name: deceit", "name: fraud")
    assert len(source(house, "fraud")["revisions"]) == 1


def test_rules_in_brackets_keep_no_text_as_each_would_be_that_of_the_whole_file(house: DaemonInProcess) -> None:
    rule = "{name: NAME, triggers: {s: {schedule: {cron: '0 3 * * *'}}}, submit: {workflow_template: train}}"
    rules = ", ".join(rule.replace("NAME", name) for name in ("one", "two"))
    (house.folder / "rules/brackets.yaml").write_text(f"version: 1\nrules: [{rules}]\n")
    house.http.post("/-/reload").raise_for_status()
    kept = house.app.store.read(rule_texts.known_rules)
    assert not {"one", "two"} & kept
    assert kept
    assert "name: two" in source(house, "one")["text"]


def test_a_secret_in_the_text_of_a_rule_is_masked(house: DaemonInProcess) -> None:
    edit(house, "# Ask anna.", "# Ask https://anna:hunter22@example.org/")
    assert "hunter22" not in source(house, "churn")["text"]
    assert "***@example.org" in source(house, "churn")["text"]


def test_mistakes_of_the_file_are_shown_beside_the_text_in_force(house: DaemonInProcess) -> None:
    edit(house, "source: push}}  # all", "source: pusch}}  # all")
    found = source(house, "churn")
    assert found["text"] == CHURN
    assert "pusch" in found["problems"][0]["message"]


def test_an_edited_rule_is_checked_like_its_file_would_be(house: DaemonInProcess, tmp_path: Path) -> None:
    broken = CHURN.replace("source: push", "source: pusch").replace("pool: gpus", "pol: gpus")
    found = check(house, broken, rule="churn")
    assert not found["valid"]
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "rules.yaml").write_text(RULES.replace(CHURN, broken))
    _, problems = load_files([str(copy)])
    expected = [(p.line, p.column, p.path.removeprefix("rules[0]."), p.message, p.hint) for p in problems]
    assert [tuple(f[n] for n in ("line", "column", "path", "message", "hint")) for f in found["findings"]] == expected
    assert {"did you mean `push`?", "did you mean `pool`?"} <= {f["hint"] for f in found["findings"]}


def test_a_valid_edit_says_what_it_changes_and_what_state_it_drops(house: DaemonInProcess) -> None:
    same = check(house, CHURN, rule="churn")
    assert (same["valid"], same["rules"], same["changed"], same["dropped"]) == (True, ["churn"], [], [])
    edited = check(house, CHURN.replace("source: push", "source: other"), rule="churn")
    assert edited["changed"] == ["churn"]
    assert edited["dropped"] == [{"rule": "churn", "trigger": "d", "why": "its definition has changed"}]
    assert source(house, "churn")["text"] == CHURN


def test_advice_is_that_of_lint(house: DaemonInProcess) -> None:
    edited = check(house, CHURN.replace("pool: gpus", "cooldown: 1d"), rule="churn")
    assert [(one["rule"], one["path"]) for one in edited["advice"]] == [("churn", "submit")]
    assert "fraud" in edited["advice"][0]["message"]


def test_a_whole_file_may_use_what_others_define_and_not_define_it_again(house: DaemonInProcess) -> None:
    text = "version: 1\nrules:\n  - {name: more, template: nightly, with: {hour: 4}, submit: train}\n"
    assert check(house, text)["rules"] == ["more"]
    again = check(house, text.replace("more", "churn"))
    assert "rule `churn` is defined already, in" in again["findings"][0]["message"]
    whole = check(house, RULES, file=str(house.folder / "rules/rules.yaml"))
    assert (whole["valid"], whole["changed"]) == (True, [])


def test_nothing_of_the_machine_is_looked_at(house: DaemonInProcess, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not-to-be-read")
    text = (
        "version: 1\nsources:\n  mine: {type: webhook, path: /hooks/mine, token: {from_file: FILE}}\n"
        "rules:\n  - {name: more, triggers: {d: {data: {source: mine}}}, submit: train}\n"
    )
    assert check(house, text.replace("FILE", str(secret)))["valid"]
    assert check(house, text.replace("FILE", str(tmp_path / "nothing")))["valid"]
    edit(house, "# Ask anna.", "# not-to-be-read")
    assert "# not-to-be-read" in source(house, "churn")["text"], "it was read, and is masked now"


@pytest.mark.parametrize("text", ["", "x", "a: [" * 300, "%x\n" * 50, "- " * 10_000, "&a [*a]", "\x00", "{" * 50_000])
def test_any_text_is_answered(house: DaemonInProcess, text: str) -> None:
    for more in ({}, {"rule": "churn"}):
        assert check(house, text, **more)["valid"] is False


def test_a_long_text_and_an_unknown_rule_are_refused(house: DaemonInProcess) -> None:
    assert "more than 100000 characters" in check(house, "#" * 100_001)["findings"][0]["message"]
    assert house.http.post("/api/v1/validate", json={"text": "", "rule": "nothing"}).status_code == 404
    assert house.http.get("/api/v1/rules/nothing/source").status_code == 404


def test_tests_beside_the_rule_files_are_listed_and_an_example_passes(house: DaemonInProcess, tmp_path: Path) -> None:
    assert house.http.get("/api/v1/rules/churn/tests").json() == {"tests": [], "example": ""}
    file = house.folder / "rules/mine_test.yaml"
    file.write_text(TESTS)
    (house.folder / "rules/broken_test.yaml").write_text("a: [")
    house.http.post("/hooks/push", json={"id": "1", "kind": "<b>'\"${x}: #"}).raise_for_status()
    found = house.http.get("/api/v1/rules/churn/tests").json()
    assert [(one["name"], one["line"]) for one in found["tests"]] == [("it waits", 4)]
    example = tmp_path / "rules/churn_test.yaml"
    example.write_text(found["example"])
    (suite,) = load_cases([str(example)])
    assert suite.problems == ()
    assert suite.configuration is not None
    assert play(suite.cases[0], suite.configuration).failures == ()
    assert house.http.get("/api/v1/rules/fraud/tests").json()["tests"] == []


def test_a_token_of_a_team_refers_to_what_it_sees_and_learns_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "team").write_text("team")
    tokens = f"http: {{port: 0, tokens: [{{name: team, token: {{from_file: {tmp_path}/team}}, namespaces: [a]}}]}}\n"
    rules = RULES.replace("name: churn\n", "name: churn\n    submit: {workflow_template: train, namespace: a}\n")
    house = DaemonInProcess(tmp_path, rules, TEMPLATE, SETTINGS.replace("http: {port: 0}\n", tokens))
    try:
        house.http.headers["authorization"] = "Bearer team"
        text = source(house, "churn")["text"]
        assert check(house, text, rule="churn")["valid"]
        (finding,) = check(house, text.replace("source: push", "source: othr"), rule="churn")["findings"]
        assert "other" not in finding["hint"], "the source of another team is not named"
        assert house.http.post("/api/v1/validate", json={"text": "", "rule": "fraud"}).status_code == 404
        assert house.http.get("/api/v1/rules/fraud/source").status_code == 404
        whole = check(
            house, "version: 1\nsources: {x: {type: webhook, path: /hooks/x}}\nrules: []\n", file="rules.yaml"
        )
        assert "must not define sources" in whole["findings"][0]["message"]
    finally:
        house.close()


def test_a_token_of_a_team_is_not_shown_the_whole_file_of_a_rule_in_brackets(tmp_path: Path) -> None:
    (tmp_path / "team").write_text("team")
    tokens = f"http: {{port: 0, tokens: [{{name: team, token: {{from_file: {tmp_path}/team}}, namespaces: [a]}}]}}\n"
    rule = "{name: NAME, triggers: {s: {schedule: {cron: '0 1 * * *'}}}, submit: {workflow_template: t, namespace: NS}}"
    both = ", ".join(rule.replace("NAME", name).replace("NS", of) for name, of in (("ours", "a"), ("theirs", "b")))
    house = DaemonInProcess(
        tmp_path, f"version: 1\nrules: [{both}]\n", TEMPLATE, SETTINGS.replace("http: {port: 0}\n", tokens)
    )
    try:
        house.http.headers["authorization"] = "Bearer team"
        answer = house.http.get("/api/v1/rules/ours/source")
        assert (answer.status_code, "theirs" in answer.text) == (404, False)
        assert "no lines of its own" in answer.json()["detail"]
    finally:
        house.close()
