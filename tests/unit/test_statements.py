"""Statements of the documents that are tried: each was once not true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
from click.testing import CliRunner

from retrainer.cli import show
from retrainer.cli.main import main
from retrainer.config.load import validate
from retrainer.config.models.base import parse_duration, parse_size
from retrainer.engine.intake.events import PRECEDENCE
from retrainer.engine.replication.inbox import ACCEPTED
from retrainer.workflows.local.isolation import KEPT
from retrainer.workflows.local.run_folder import FOLDER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def page(name: str) -> str:
    return (ROOT / name).read_text()


def code(text: str) -> list[str]:
    """The words in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def between(text: str, first: str, last: str) -> str:
    (found,) = re.findall(f"{re.escape(first)}(.*?){re.escape(last)}", text, re.DOTALL)
    return str(found)


def test_what_a_pending_run_waits_for() -> None:
    table = between(page("docs/how-to/operations/troubleshooting.md"), "## A run stays PENDING", "##")
    shown = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    given = re.findall(r'_wait\(\s*"(\w+)"', page("retrainer/engine/runs/waits.py"))
    assert set(shown) == set(given)


def test_how_durations_and_sizes_are_written() -> None:
    units, combined = between(page("docs/reference/rules/README.md"), "Durations are", "Sizes").split(":", 1)
    assert {unit for unit in code(units) if parse_duration(f"1{unit}")} == {"ms", "s", "m", "h", "d", "w"}
    assert [parse_duration(one) for one in code(combined)] == [90, 900, 21600, 604800, 5400]
    for wrong in ("1.5h", "90", "1y", "90 s", "36501d"):
        with pytest.raises(ValueError, match=r"not a duration|longer than"):
            parse_duration(wrong)
    sizes = code(between(page("docs/reference/rules/README.md"), "Sizes are written", ". No duration"))
    assert [parse_size(one) for one in sizes] == [500 * 2**20, 50 * 10**9]


MISTAKES = """\
version: 1
sources: {push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}}
rules:
  - name: a
    triggers: {u: {data: {source: pusch}}, v: {after: nosuch}}
    limits: {pool: gpu, cooldown: {period: %s}}
    submit: {workflow_template: t, parameters: {x: "${y}"}}
"""
NO_YAML = "version: 1\nrules: [{a\n"


@pytest.mark.parametrize(
    ("files", "hidden"),
    [
        pytest.param([MISTAKES % "1h"], "", id="all names and expressions at once"),
        pytest.param(
            [MISTAKES % "1.5h"], "unknown rule", id="a field that cannot be read hides the rule of `after` only"
        ),
        pytest.param([MISTAKES % "1h", NO_YAML], "unknown (rule|source|pool)", id="text that is no YAML hides names"),
    ],
)
def test_which_mistakes_appear_only_after_others(tmp_path: Path, files: list[str], hidden: str) -> None:
    """As in docs/reference/configuration-errors.md."""
    for number, text in enumerate(files):
        (tmp_path / f"{number}.yaml").write_text(text)
    told = " ".join(problem.message for problem in validate(str(tmp_path), ignore_environment=True)[1])
    expected = ["unknown source", "unknown rule", "unknown pool", "unknown name `y`", "not a duration", "not YAML"]
    unseen = {one for one in expected if one not in told}
    meant = {one for one in expected if hidden and re.fullmatch(hidden, one)}
    meant |= {"not a duration"} if "1.5h" not in files[0] else set()
    assert unseen == meant | ({"not YAML"} if NO_YAML not in files else set())


def test_the_words_of_a_202() -> None:
    row = between(page("docs/how-to/sources/webhook.md"), "The words are", " | do nothing more")
    assert set(code(row)) == {*PRECEDENCE, ACCEPTED}


def _leaves(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _leaves(command, context)
        elif command is not None and command.name not in ("run", "demo", "completion"):
            yield command


def test_output_as_json_is_asked_for_before_or_after_the_command() -> None:
    """All commands, except those that print no answer."""
    groups = [main, *_leaves(main, click.Context(main))]
    assert [one.name for one in groups if not any("-o" in p.opts for p in one.get_params(click.Context(one)))] == []


@pytest.mark.parametrize(
    ("arguments", "code", "begins"),
    [
        pytest.param(["-o", "json", "--url", "http://127.0.0.1:1", "status"], 2, "{", id="an error is an object"),
        pytest.param(["-o", "json", "rnus"], 2, "Usage", id="a wrong command line is text"),
        pytest.param(["simulate", "-o", "json"], 2, "Usage", id="options that are missing, too"),
    ],
)
def test_errors_as_json(arguments: list[str], code: int, begins: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, (result.stderr or result.stdout)[: len(begins)]) == (code, begins)


def test_nothing_is_cut_off_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    long = "why " * 1000
    show.table(show.console(), ("RULE", "VERDICT"), [("churn", long)], "")
    assert long.strip() in capsys.readouterr().out


def test_the_environment_of_a_step() -> None:
    """What a step really has is tried in tests/unit/workflows/test_local_steps.py."""
    told = between(page("docs/how-to/local-engine.md"), "- **Environment**: the template's `env`,", "Secrets")
    assert set(re.findall(r"\b[A-Z][A-Z_]+\b", told)) == {*KEPT, "PATH", "TMPDIR", FOLDER_VARIABLE}


def test_where_packages_are_kept() -> None:
    (cache,) = re.findall(r"UV_CACHE_DIR \?= \$\(HOME\)(\S+)", page("Makefile"))
    assert f"~{cache}" in code(page("README.md"))


def test_the_sample_of_simulate_is_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = page("docs/how-to/simulate.md")
    (script,) = (block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "history.py" in block)
    written, command = script.rsplit("retrainer ", 1)
    subprocess.run(["/bin/sh", "-ec", written.replace("python3", sys.executable)], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PUSH_TOKEN", "x")
    result = CliRunner().invoke(main, [*command.replace("--html simulation.html", "").split(), "--processes", "1"])
    printed = [" ".join(line.split()) for line in result.stdout.splitlines()]
    sample = [" ".join(line.split()) for line in between(text, "are left out):\n```\n", "```").splitlines()]
    assert [line for line in sample if line not in printed] == []


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ROOT))) for path in PAGES])
def test_runs_and_workflows_have_whole_ids(path: Path) -> None:
    """Ids have 26 characters, and a Workflow is named as its run."""
    ids: list[Any] = re.findall(r"\b01[0-9a-hjkmnp-tv-z]{13,}\b", path.read_text(), re.IGNORECASE)
    assert [one for one in ids if len(one) != 26] == []
