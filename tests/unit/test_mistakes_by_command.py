"""Each mistake of docs/reference/configuration-errors.md, made in its own folder: what the installed command prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

from tests.houses import wheel
from tests.unit.config.mistakes import GOOD, TABLES

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.config.mistake import Mistake

PAGE = wheel.ROOT / "docs/reference/configuration-errors.md"
MISTAKES = [mistake for mistakes in TABLES.values() for mistake in mistakes]
_ROW = re.compile(r"^\|.*?(?<!\\)\|.*(?<!\\)\| (`+) ?(?P<message>.*?) ?\1 \|$")
_VALIDATE_ALL = """
import json, os, sys
from click.testing import CliRunner
from retrainer.cli.main import main
answers = []
for folder, file in json.load(sys.stdin):
    os.chdir(folder)
    done = CliRunner().invoke(main, ["validate", file])
    answers.append([done.exit_code, done.output])
print(json.dumps(answers))
"""
"""One process for all of them: to start one takes longer than to validate."""


def messages_of_the_page() -> list[str]:
    rows = filter(None, map(_ROW.match, PAGE.read_text().splitlines()))
    return [row["message"].replace("\\|", "|") for row in rows]


def make(mistake: Mistake, folder: Path) -> None:
    text = GOOD.replace(mistake.old, mistake.new) if mistake.old else mistake.new
    folder.mkdir()
    if mistake.file == "retrainer.yaml" and "rules:" not in text:
        (folder / "rules").mkdir()
    (folder / mistake.file).write_bytes(text.encode(errors="surrogateescape"))


def message(printed: str) -> str:
    """What is wrong, and in brackets what to write instead, without the line that is shown between them."""
    first, *others = printed.splitlines()
    return first + "".join(f" ({line.removeprefix('      = ')})" for line in others if line.startswith("      = "))


def test_the_installed_command_prints_what_the_page_says(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = messages_of_the_page()
    assert len(shown) == len(MISTAKES) >= 190
    folders = [tmp_path / str(number) for number in range(len(MISTAKES))]
    for mistake, folder in zip(MISTAKES, folders, strict=True):
        make(mistake, folder)
    python = wheel.once(tmp_path_factory).with_name("python")
    asked = json.dumps([(str(folder), mistake.file) for folder, mistake in zip(folders, MISTAKES, strict=True)])
    environment = {"HOME": str(tmp_path), "PATH": os.defpath}
    done = subprocess.run(
        [python, "-c", _VALIDATE_ALL],
        input=asked,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answers = json.loads(done.stdout)
    for mistake, (code, printed), expected in zip(MISTAKES, answers, shown, strict=True):
        assert (mistake.name, code, message(printed)) == (mistake.name, 1, expected)
        assert printed.splitlines()[-1] == f"1 problem in {mistake.file}"
