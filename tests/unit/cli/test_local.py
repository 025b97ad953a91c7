"""Commands that need no daemon."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from retrainer.cli import store_backup as commands
from retrainer.cli.main import COMMANDS, main
from retrainer.store import tables as t
from retrainer.store.migrate import HEAD
from retrainer.store.sqlite import SqliteStore
from retrainer.store.statements import put_all
from tests.unit.api.ledger import dead_letter, encoded, run

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Ask

SETTINGS = "version: 1\nrules: [rules.yaml]\nengine: {type: local, templates: templates, runs: runs}\n"
RULES = """\
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: churn
    triggers: {pushed: {data: {source: push}}}
    submit: {workflow_template: train, parameters: {since: "${window.start}"}}
"""
TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: since, enum: ["1", "2"]}]}
  templates:
    - name: main
      container: {image: train, command: [echo, hello]}
"""


# -- the command line itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(cli: Ask, name: str) -> None:
    assert cli(name, "--help").stdout.startswith(f"Usage: main {name}")
    assert f"  {name} " in cli("--help").stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = ["kubernetes", "fastapi", "sqlalchemy", "httpx", "rich", "pydantic"]
    program = f"""
import sys
from click.testing import CliRunner
from ruamel.yaml import YAML
from retrainer.cli.main import main
assert CliRunner().invoke(main, ["--help"]).exit_code == 0
print([name for name in {heavy} if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_command_is_corrected(cli: Ask) -> None:
    assert "no such command 'run-list'" in cli("run-list", code=2).stderr
    assert "did you mean 'rules'?" in cli("rule", code=2).stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(cli: Ask, shell: str) -> None:
    assert "_RETRAINER_COMPLETE" in cli("completion", shell).stdout


def test_completion_knows_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"_RETRAINER_COMPLETE": "bash_complete", "COMP_WORDS": "retrainer dead", "COMP_CWORD": "1"}
    result = CliRunner().invoke(main, [], env=env, prog_name="retrainer")
    assert "dead-letters" in result.stdout


@pytest.mark.parametrize(
    ("what", "title"), [("rules", "retrainer rules"), ("settings", "retrainer settings"), ("api", "retrainer")]
)
def test_schemas(cli: Ask, what: str, title: str) -> None:
    schema = json.loads(cli("schema", what).stdout)
    assert (schema.get("title") or schema["info"]["title"]) == title
    assert cli("schema").stdout == cli("schema", "rules", "-o", "json").stdout


# -- run -----------------------------------------------------------------------------------------------------------


def test_run_needs_its_settings(cli: Ask) -> None:
    assert "'nope.yaml' does not exist" in cli("run", "-c", "nope.yaml", code=2).stderr


def test_run_refuses_broken_settings(cli: Ask, tmp_path: Path) -> None:
    (tmp_path / "retrainer.yaml").write_text("version: 1\nengine: {type: locl}\n")
    cli("run", "-c", str(tmp_path / "retrainer.yaml"), code=1)


# -- validate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "retrainer.yaml").write_text(SETTINGS)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "templates" / "train.yaml").write_text(TEMPLATE)
    return tmp_path


@pytest.mark.parametrize("name", ["", "retrainer.yaml", "rules.yaml"])
def test_valid(cli: Ask, files: Path, name: str) -> None:
    path = str(files / name)
    assert cli("validate", path).stdout == f"{path} is valid: 1 rule\n"
    assert json.loads(cli("validate", path, "-o", "json").stdout) == {"valid": True, "problems": [], "notes": []}


def test_fields_without_effect_are_notes(cli: Ask, files: Path) -> None:
    template = files / "templates" / "train.yaml"
    template.write_text(TEMPLATE.replace("spec:\n", "spec:\n  nodeSelector: {gpu: a100}\n", 1))
    note = f"{template}: train: has no effect on this machine: spec.nodeSelector"
    path = str(files)
    assert cli("validate", path).stdout == f"note: {note}\n\n{path} is valid: 1 rule\n"
    assert json.loads(cli("validate", path, "-o", "json").stdout) == {"valid": True, "problems": [], "notes": [note]}


LISTENS = "  - {name: churn, triggers: {t: {data: {source: lake}}}, submit: {workflow_template: train}}\n"
PROBLEMS = [
    pytest.param("rules.yaml", ("data:", "dta:"), "rules[0].triggers.pushed.dta", id="unknown-field"),
    pytest.param("rules.yaml", ("template: train", "template: trian"), "there is no template trian", id="no-template"),
    pytest.param("rules.yaml", ("since:", "sinse:"), "no parameter sinse: did you mean since?", id="parameter-name"),
    pytest.param("rules.yaml", ('"${window.start}"', "3"), "is one of 1, 2, not '3'", id="parameter-value"),
    pytest.param("templates/train.yaml", ("container:", "http:"), "spec.templates[0]", id="unsupported-template"),
    pytest.param("retrainer.yaml", ("templates: templates", "templates: nope"), "there is no folder", id="no-folder"),
    pytest.param("retrainer.yaml", ("type: local", "type: lokal"), "lokal", id="settings"),
]


@pytest.mark.parametrize(("name", "change", "expected"), PROBLEMS)
def test_invalid(cli: Ask, files: Path, name: str, change: tuple[str, str], expected: str) -> None:
    text = (files / name).read_text()
    (files / name).write_text(text.replace(*change))
    assert expected in cli("validate", str(files), code=1).stdout
    told: dict[str, Any] = json.loads(cli("validate", str(files), "-o", "json", code=1).stdout)
    assert not told["valid"]
    assert any(expected in f"{problem['path']} {problem['message']}" for problem in told["problems"])


def test_a_problem_shows_its_line(cli: Ask, files: Path) -> None:
    (files / "rules.yaml").write_text(RULES.replace("data:", "dta:"))
    printed = cli("validate", str(files / "rules.yaml"), code=1).stdout
    assert ":5:25: " in printed
    assert "    5 |     triggers: {pushed: {dta: {source: push}}}" in printed
    assert printed.endswith(f"in {files / 'rules.yaml'}\n")


def test_a_rule_that_does_not_fit_its_template_is_placed(cli: Ask, files: Path) -> None:
    (files / "rules.yaml").write_text(RULES.replace("template: train", "template: trian"))
    (problem,) = json.loads(cli("validate", str(files), "-o", "json", code=1).stdout)["problems"]
    assert (problem["file"], problem["line"]) == (str(files / "rules.yaml"), 4)


def test_cluster_needs_settings(cli: Ask, files: Path) -> None:
    assert "name retrainer.yaml" in cli("validate", str(files / "rules.yaml"), "--cluster", code=2).stderr


def test_a_cluster_that_cannot_be_asked(cli: Ask, files: Path) -> None:
    argo = "{type: argo, kubeconfig: nope, namespaces: [ml]}"
    (files / "retrainer.yaml").write_text(f"version: 1\nrules: [rules.yaml]\nengine: {argo}\n")
    cli("validate", str(files))
    assert "cannot be queried" in cli("validate", str(files), "--cluster", code=1).stdout


def test_what_only_the_daemons_machine_has_is_no_mistake_elsewhere(cli: Ask, files: Path) -> None:
    """A secret that is missing on this machine is no mistake, not even in a file that needs its source."""
    (files / "retrainer.yaml").unlink()
    (files / "sources.yaml").write_text(
        "version: 1\nsources: {lake: {type: webhook, path: /hooks/lake, hmac: [{from_env: NOT_SET_HERE}]}}\n"
    )
    (files / "rules.yaml").write_text(RULES.partition("sources:")[0] + "rules:\n" + LISTENS)
    (files / "templates" / "train.yaml").unlink()
    assert "NOT_SET_HERE is not set" in cli("validate", str(files), code=1).stdout
    assert cli("validate", "--ignore-environment", str(files)).stdout == f"{files} is valid: 1 rule\n"
    assert "nothing found" in cli("lint", str(files)).stdout


def test_rules_of_a_team(cli: Ask, tmp_path: Path) -> None:
    (tmp_path / "platform.yaml").write_text("version: 1\nsources: {lake: {type: webhook, path: /hooks/lake}}\n")
    team = tmp_path / "team.yaml"
    team.write_text("version: 1\nrules:\n" + LISTENS)
    known = ("validate", "--team", "team-a", "--platform", str(tmp_path / "platform.yaml"), str(team))
    assert cli(*known).stdout == f"{team} is valid: 1 rule\n"
    assert "`--platform PATH`" in cli("validate", "--team", "team-a", str(team), code=1).stdout
    assert "--team NAMESPACE" in cli("validate", "--platform", str(team), str(team), code=2).stderr
    assert "leave --team out" in cli("validate", "--team", "team-a", "--cluster", str(team), code=2).stderr


def test_the_hooks_of_pre_commit_are_commands_that_run(cli: Ask, files: Path) -> None:
    hooks = YAML(typ="safe").load(Path(__file__).parents[3] / ".pre-commit-hooks.yaml")
    validate, test = (hook["entry"].split()[1:] for hook in hooks)
    (files / "retrainer.yaml").unlink()
    rules = str(files / "rules.yaml")
    assert "is valid" in cli(*validate, rules).stdout
    (files / "rules.yaml").write_text("version: 1\nrules:\n" + LISTENS)
    (files / "platform.yaml").write_text("version: 1\nsources: {lake: {type: webhook, path: /hooks/lake}}\n")
    assert "is valid" in cli(*validate, "--team", "team-a", "--platform", str(files / "platform.yaml"), rules).stdout
    assert "no tests" in cli(*test, str(files), code=2).stdout


def test_nothing_to_validate(cli: Ask) -> None:
    assert "does not exist" in cli("validate", "nope.yaml", code=2).stderr


# -- store ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "retrainer.db"
    store = SqliteStore.open(path)
    with store.write() as conn:
        put_all(conn, t.runs, [encoded(run(1)), encoded(run(2, phase="RUNNING", ended_at=None))])
        put_all(conn, t.dead_letters, [dead_letter(1, payload=b"\xff\x00")])
    store.close()
    return path


def test_store_check(cli: Ask, stored: Path) -> None:
    assert "is intact" in cli("store", "check", str(stored)).stdout
    told = json.loads(cli("store", "check", str(stored), "-o", "json").stdout)
    assert (told["good"], told["rows"]["runs"], told["live_runs"]) == (True, 2, 1)


def test_store_backup(cli: Ask, stored: Path, tmp_path: Path) -> None:
    """Its settings need a secret that is not here, and the backup does not."""
    settings = tmp_path / "settings.yaml"
    engine, http = {"type": "local", "templates": "t", "runs": "r"}, {"token": {"from_env": "NOT_SET_HERE"}}
    settings.write_text(
        json.dumps({"version": 1, "engine": engine, "store": {"path": str(stored)}, "http": http})  # JSON is YAML
    )
    target = tmp_path / "copy.db"
    told = json.loads(cli("store", "backup", str(target), "--store", str(settings), "-o", "json").stdout)
    assert (told["path"], told["schema"], told["bytes"]) == (str(target), HEAD, target.stat().st_size)
    assert "is intact" in cli("store", "check", str(target)).stdout
    assert "exists already" in cli("store", "backup", str(target), "--store", str(stored), code=1).stderr
    assert f"{stored}.before-1" in cli("store", "restore", str(target), "--store", str(settings)).stdout


def test_a_backup_that_is_ended_leaves_nothing(
    cli: Ask, stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_show_progress", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    before = {path.name for path in tmp_path.iterdir()}
    cli("store", "backup", str(tmp_path / "copy.db"), "--store", str(stored), code=128 + signal.SIGTERM)
    left = {path.name for path in tmp_path.iterdir()} - before
    assert {name for name in left if not name.startswith(stored.name)} == set()


def test_store_export(cli: Ask, stored: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in cli("store", "export", str(stored)).stdout.splitlines()]
    assert {line["table"] for line in lines} >= {"runs", "dead_letters"}
    assert [line["row"]["payload"] for line in lines if line["table"] == "dead_letters"] == ["/wA="]
    cli("store", "export", str(stored), "--table", "runs", "--to", str(tmp_path / "runs.jsonl"))
    runs = [json.loads(line)["row"]["phase"] for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert runs == ["SUCCEEDED", "RUNNING"]


def test_a_store_of_an_older_release_stays_what_it_is(cli: Ask, stored: Path) -> None:
    """A backup that a newer release has read can still be restored with the older release."""
    with closing(sqlite3.connect(stored)) as older:
        indexes = ("dead_letters_size", "dead_letters_event", "slots_at", "slots_rule", "runs_rule", "runs_live")
        for newer in ("TABLE activity", "TABLE inbox", "TABLE readers", *(f"INDEX {name}" for name in indexes)):
            older.execute(f"DROP {newer}")
        older.execute("ALTER TABLE dead_letters DROP COLUMN size")
        older.execute("ALTER TABLE runs RENAME COLUMN created_at TO born_at")
        older.execute("ALTER TABLE positions RENAME COLUMN partition TO part")
        older.execute("ALTER TABLE positions RENAME COLUMN topic_id TO incarnation")
        older.execute("ALTER TABLE objects DROP COLUMN notified_at")
        older.execute("ALTER TABLE fan_outs DROP COLUMN input")
        older.execute("UPDATE alembic_version SET version_num = '0003_0002'")
        older.commit()
    told = " ".join(cli("store", "check", str(stored)).stdout.split())
    assert "is intact" in told
    assert "schema 0003_0002, which the daemon migrates at start" in told
    refused = " ".join(cli("store", "export", str(stored), code=1).stderr.split())
    assert "the schema 0003_0002 is older; export it with the release that created it" in refused
    with closing(sqlite3.connect(stored)) as older:
        assert older.execute("SELECT version_num FROM alembic_version").fetchone() == ("0003_0002",)
    cli("store", "migrate", str(stored))
    assert f"schema {HEAD}" in " ".join(cli("store", "check", str(stored)).stdout.split())


def test_a_running_daemons_store_is_left_alone(cli: Ask, stored: Path) -> None:
    store = SqliteStore.open(stored)
    try:
        assert "stop that daemon first" in cli("store", "check", str(stored), code=1).stderr
    finally:
        store.close()


def test_a_file_that_is_no_store(cli: Ask, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello, these are notes")
    assert "notes.txt" in cli("store", "check", str(tmp_path / "notes.txt"), code=1).stderr
    assert "does not exist" in cli("store", "check", str(tmp_path / "nope.db"), code=2).stderr
    assert not (tmp_path / "nope.db").exists()


def test_a_damaged_store(cli: Ask, stored: Path) -> None:
    raw = bytearray(stored.read_bytes())
    page = int.from_bytes(raw[16:18], "big")
    for at in range(2 * page, len(raw), page):
        raw[at : at + 64] = b"\xee" * 64
    stored.write_bytes(raw)
    cli("store", "check", str(stored), code=1)


PASTED = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: since}]}
  templates:
    - name: main
      script: {command: [python3], source: "print('{{workflow.parameters.since}}')"}
"""


def test_lint_tells_of_sources_that_share_a_secret(tmp_path: Path, cli: Ask) -> None:
    hmac = "hmac: {from_env: GITHUB}"
    (tmp_path / "rules.yaml").write_text(
        f"version: 1\nsources:\n  push: {{type: webhook, path: /hooks/a, {hmac}}}\n"
        f"  release: {{type: webhook, path: /hooks/b, {hmac}}}\n"
    )
    told = cli("lint", str(tmp_path / "rules.yaml"), code=1).output
    assert "rules.yaml:4:12: release.hmac: push has the same secret" in told
    assert "give each source its own secret" in told


def test_lint_points_to_what_is_pasted_into_code(tmp_path: Path, cli: Ask) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "train.yaml").write_text(PASTED)
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "retrainer.yaml").write_text(SETTINGS)
    told = cli("lint", str(tmp_path), code=1)
    assert "rules.yaml:4:5: churn.submit.parameters.since: its value is inserted into code, at main.script.source" in (
        told.output
    )
    (tmp_path / "templates" / "train.yaml").write_text(TEMPLATE)
    cli("lint", str(tmp_path))
