"""What the demo says when it cannot begin. That it works is tried with the wheel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from retrainer.cli.demo import QUICKSTART
from retrainer.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param(
            "rules/churn.yaml", "version: 1\nrules: [{name: churn}]\n", "rules/churn.yaml:2", id="an edited rule"
        ),
        pytest.param("retrainer.yaml", "version: 1\nengine: {type: locl}\n", "retrainer.yaml:2", id="edited settings"),
    ],
)
def test_an_edited_file_that_is_not_valid_is_named(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / name).write_text(text)
    done = CliRunner().invoke(main, ["demo", "--once", "--folder", str(tmp_path)])
    assert done.exit_code == 1
    assert expected in done.output
    assert "mend it, or remove it" in done.output
    assert (tmp_path / name).read_text() == text, "what somebody wrote is kept"
    assert (tmp_path / "pipeline/train.py").read_text() == (QUICKSTART / "pipeline/train.py").read_text()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = CliRunner().invoke(main, ["demo", "--once", "--folder", str(tmp_path / "file/demo")])
    assert done.exit_code == 1
    assert "Not a directory; name a writable folder: `retrainer demo --folder /tmp/demo`" in done.output
