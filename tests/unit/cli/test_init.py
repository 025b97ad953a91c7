"""`retrainer init`: the other commands accept the generated files unchanged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from retrainer.cli import init as starter
from retrainer.config.load_settings import load_settings
from tests.houses.daemon import ProjectDaemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.conftest import Ask

ROOT = Path(__file__).parents[3]
KINDS = {"local": (), "argo": ("--argo",)}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(kind: str, cli: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `init` writes it. It is the current folder of the commands."""
    monkeypatch.chdir(tmp_path)
    cli("init", "my models", *KINDS[kind])
    monkeypatch.chdir("my models")
    return tmp_path / "my models"


def test_what_is_written_is_valid(project: Path, cli: Ask) -> None:
    assert cli("validate").output == ". is valid: 1 rule\n"


def test_its_tests_pass(project: Path, cli: Ask) -> None:
    report = json.loads(cli("test", "-o", "json").stdout)
    assert report["passed"]
    assert len(report["tests"]) >= 2


def test_lint_has_nothing_to_say(project: Path, cli: Ask) -> None:
    assert cli("lint", "--templates", "templates").output == ".: nothing found\n"


def test_each_file_is_the_one_of_the_package(project: Path, kind: str) -> None:
    written = {str(p.relative_to(project)): p.read_bytes() for p in project.rglob("*") if p.is_file()}
    package = starter.STARTER / kind
    assert written == {str(p.relative_to(package)): p.read_bytes() for p in package.rglob("*") if p.is_file()}


def test_the_readme_has_ten_lines_and_names_each_file(project: Path) -> None:
    text = (project / "README.md").read_text()
    assert text.count("\n") == 10
    parts = {p.name for p in project.iterdir()} - {"README.md"}
    assert [part for part in parts if part not in text] == []


def test_the_rule_gives_only_parameters_that_the_template_has(project: Path) -> None:
    (rule,) = YAML(typ="safe").load(project / "rules/churn.yaml")["rules"]
    template = YAML(typ="safe").load(project / "templates/churn-train.yaml")
    assert template["metadata"]["name"] == rule["submit"]["workflow_template"]
    known = {one["name"] for one in template["spec"]["arguments"]["parameters"]}
    assert set(rule["submit"]["parameters"]) <= known
    returned = {one["name"] for one in template["spec"]["templates"][0]["outputs"]["parameters"]}
    assert {output["parameter"] for output in rule["submit"]["outputs"].values()} == returned


def test_the_settings_name_the_engine(project: Path, kind: str) -> None:
    assert load_settings(str(project / "retrainer.yaml")).engine.type == kind


def test_it_says_what_to_run_next(cli: Ask, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = cli("init", "my models", *KINDS[kind]).output
    assert "  cd 'my models'\n  retrainer validate\n" in told
    assert [name for name in map(str, starter._names(starter.STARTER / kind)) if f"  {name} " not in told] == []
    assert json.loads(cli("init", "b", *KINDS[kind], "-o", "json").stdout)["next"][-1] == "retrainer run"


@pytest.mark.parametrize("name", ["retrainer.yaml", "README.md", "rules/churn.yaml", "templates/churn-train.yaml"])
def test_a_folder_that_has_one_of_the_files_is_left_as_it_is(name: str, kind: str, cli: Ask, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    refused = cli("init", str(tmp_path), *KINDS[kind], code=1).stderr
    assert f"already has {name}" in refused
    assert [(str(p.relative_to(tmp_path)), p.read_text()) for p in tmp_path.rglob("*") if p.is_file()] == [
        (name, "mine")
    ]


def test_other_files_do_not_matter(cli: Ask, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "LICENSE").write_text("mine")
    cli("init", str(tmp_path))
    cli("validate", str(tmp_path))


@pytest.mark.parametrize("name", ["rules", "templates"], ids=["first of the folders", "last of the folders"])
def test_where_one_file_cannot_be_written_none_stays(name: str, cli: Ask, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a file where a folder is wanted")
    assert "name a writable folder" in cli("init", str(tmp_path), code=1).stderr
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [name]


def test_each_file_is_explained_in_the_report() -> None:
    files = {name for kind in KINDS for name in starter._names(starter.STARTER / kind)}
    assert set(starter._HOLDS) == files


def test_the_package_and_the_image_have_the_files() -> None:
    """Hatchling packages every file that git does not ignore; the image copies the whole package."""
    files = [str(p) for p in starter.STARTER.rglob("*") if p.is_file()]
    asked = ["git", "-C", str(ROOT), "check-ignore", "--no-index", *files]
    assert subprocess.run(asked, check=False, capture_output=True).stdout == b""
    assert "COPY retrainer retrainer\n" in (ROOT / "Dockerfile").read_text()
    left_out = [line for line in (ROOT / ".dockerignore").read_text().split("\n") if line and line[0] not in "!#"]
    assert left_out == ["*", "**/__pycache__"]


# -- the daemon in such a folder ----------------------------------------------------------------------------------


@pytest.fixture
def daemon(cli: Ask, tmp_path: Path) -> Iterator[ProjectDaemon]:
    """`retrainer run` in a new project, on a free port."""
    cli("init", str(tmp_path / "project"))
    settings = tmp_path / "project/retrainer.yaml"
    settings.write_text(settings.read_text().replace("port: 8080", "port: 0"))
    daemon = ProjectDaemon(tmp_path / "project")
    daemon.start()
    yield daemon
    daemon.close()


def test_the_daemon_trains_the_first_model_by_itself(daemon: ProjectDaemon) -> None:
    run = until(daemon.first_run, "a run has ended", 120)
    assert run["phase"] == "SUCCEEDED", run
    assert run["outputs"] == {"accuracy": 0.8, "rows": 200}
    model = json.loads((daemon.folder / "models/churn.json").read_text())
    assert model["accuracy"] == 0.8
    assert {line["level"] for line in daemon.lines()} == {"info"}
