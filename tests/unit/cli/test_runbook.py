"""`retrainer runbook` prints the page of an alert, and finds the name that was meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from retrainer.cli.main import main

PAGES = Path(__file__).parents[3] / "docs/how-to/operations/runbooks"


def test_it_prints_the_page_as_it_is_in_the_docs() -> None:
    done = CliRunner().invoke(main, ["runbook", "RetrainerDown"])
    assert (done.exit_code, done.stdout) == (0, (PAGES / "RetrainerDown.md").read_text())


def test_without_a_name_it_lists_all_alerts() -> None:
    done = CliRunner().invoke(main, ["runbook"])
    assert done.stdout.split() == sorted(path.stem for path in PAGES.glob("*.md"))


def test_as_json_it_has_the_name_and_the_text() -> None:
    done = CliRunner().invoke(main, ["runbook", "RetrainerDown", "-o", "json"])
    assert json.loads(done.stdout) == {"alert": "RetrainerDown", "text": (PAGES / "RetrainerDown.md").read_text()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("retrainerdown", ", did you mean 'RetrainerDown'?", id="other capitals"),
        pytest.param("QueueStuck", ", did you mean 'RetrainerQueueStuck'?", id="without its beginning"),
        pytest.param("RetrainerQueueStock", ", did you mean 'RetrainerQueueStuck'?", id="a mistake"),
        pytest.param("KubePodCrashLooping", "", id="an alert of others"),
        pytest.param("../README", "", id="a path"),
    ],
)
def test_an_unknown_name_is_refused_with_the_one_that_was_meant(given: str, expected: str) -> None:
    done = CliRunner().invoke(main, ["runbook", given])
    assert done.exit_code == 1
    assert f"there is no alert {given!r}{expected}; `retrainer runbook` lists them" in done.output


def test_names_are_completed() -> None:
    given = {
        "_RETRAINER_COMPLETE": "bash_complete",
        "COMP_WORDS": "retrainer runbook RetrainerSourceH",
        "COMP_CWORD": "2",
    }
    done = CliRunner().invoke(main, prog_name="retrainer", env=given)
    assert done.stdout.split(",")[-1].strip() == "RetrainerSourceHalted"
